"""Text as encoders and taggers see it: words, sentences, masking, and the rows that encoders read."""
