"""The command line of ``elmoft.py`` (Peng, Yan and Lu 2019), translated into an ordinary run."""
