"""Server-Sent Events of runs: the answer, the hub that writes all of them, the text it writes."""
