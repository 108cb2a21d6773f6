//! Neutral types, ports and all decisions of Magpie.
