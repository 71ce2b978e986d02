//! Works a pipeline's dead letters.
