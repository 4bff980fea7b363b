"""What corpus readers do to text, without torch: ASCII normalisation, sentences, words, masked mentions."""
