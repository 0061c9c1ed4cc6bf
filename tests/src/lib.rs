//! Whole-system tests: real programs, real footage, real kills.
