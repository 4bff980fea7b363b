"""MT-DNN and MT-BlueBERT ``.pt`` checkpoints, read without executing their pickles."""
