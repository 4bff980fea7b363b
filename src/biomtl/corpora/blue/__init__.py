"""Files in the formats of the BLUE benchmark (Peng, Yan, Lu 2019), as released and as other tools write them.

One module per family of tasks: relations, pairs of sentences, named entities, Hallmarks of Cancer.
"""
