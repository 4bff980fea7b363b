"""MT-DNN and MT-BlueBERT ``.pt`` checkpoints, read without executing what they pickle."""
