-- Which version of the Practitioner or Patient a session was last found to be of somebody who may be logged in:
-- who is taken out of use, or has died, is logged out at the next click. Null: to be looked at again.
ALTER TABLE access.session
    ADD COLUMN person_self bigint,
    ADD COLUMN person_version int;
