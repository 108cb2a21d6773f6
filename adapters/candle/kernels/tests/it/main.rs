//! Packed matrices and their products, against plain readings of the file's blocks.

mod blocks;
mod packing;
mod products;
