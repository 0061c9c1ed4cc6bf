//! Read the frames of every camera that an SDVR daemon receives.
