"""Log review (R36): what is found in the trace, what came of it, and the figures.

`patterns` says what is worth a look, as pure functions; `known` fetches what they need to know of people;
`finding` reads the trace forward and keeps cases; `sample` draws at random; `cases` is the reviewer's work;
`public` the list of public people; `questions` what residents ask; `figures` the care provider's account of
its checks (PDL 4 kap. 3 §, HSLF-FS 2016:40 4 kap. 9 §).
"""
