"""The corpora of the BLURB benchmark (Gu et al. 2021): original distributions, and the files made from them.

One module per corpus that BLUE doesn't have, and one per corpus that BLURB divides in its own way; `reader` reads
BLURB's own files, LinkBERT's JSON lines, and corpora in two columns.
"""
