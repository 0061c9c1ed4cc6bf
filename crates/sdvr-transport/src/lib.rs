//! Packets over a link, ignorant of their content.
