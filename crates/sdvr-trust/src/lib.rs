//! Who may talk: keys, fingerprints, known servers and cameras, kept in atomic files.
