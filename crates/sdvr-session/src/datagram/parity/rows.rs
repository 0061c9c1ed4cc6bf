//! Sums of multiples of fragments, and the fragments of such sums.

use super::field::{double, inverse, multiply};
use super::{GROUP_MOST, ROWS_MOST};

/// So many bytes at a time: their multiples stay in the nearest cache.
const BLOCK_BYTES: usize = 256;
/// Where the rows' points begin, above those of the fragments of a group.
const ROW_POINT: u8 = 128;

/// By what the fragment at `place` of its group is multiplied in `row`: 1 in row 0, which so is a mere XOR.
pub(super) fn coefficient(row: u8, place: u8) -> u8 {
    let of_row = COEFFICIENTS.get(usize::from(row));
    of_row
        .and_then(|of_row| of_row.get(usize::from(place)))
        .copied()
        .unwrap_or(0)
}

static COEFFICIENTS: [[u8; GROUP_MOST as usize]; ROWS_MOST as usize] = all_coefficients();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the compiler runs it: what is out of range does not compile"
)]
const fn all_coefficients() -> [[u8; GROUP_MOST as usize]; ROWS_MOST as usize] {
    let mut inverses = [0; 256];
    let mut byte = 0;
    while byte < inverses.len() {
        inverses[byte] = inverse(byte as u8);
        byte += 1;
    }
    let mut all = [[0; GROUP_MOST as usize]; ROWS_MOST as usize];
    let mut row = 0;
    while row < all.len() {
        let mut place = 0;
        while place < all[row].len() {
            let point = ROW_POINT + row as u8;
            all[row][place] = multiply(
                ROW_POINT ^ place as u8,
                inverses[(point ^ place as u8) as usize],
            );
            place += 1;
        }
        row += 1;
    }
    all
}

/// Adds `source`, times each row's coefficient, to the row: `rows` has one of `row_bytes` for each coefficient. A shorter source counts as
/// padded with zeros.
pub(super) fn add_products(source: &[u8], coefficients: &[u8], rows: &mut [u8], row_bytes: usize) {
    let most = coefficients.iter().fold(0, |bits, byte| bits | byte);
    let mut multiples = [[0; BLOCK_BYTES]; 8];
    for (number, block) in source.chunks(BLOCK_BYTES).enumerate() {
        let begin = number.saturating_mul(BLOCK_BYTES);
        multiply_by_powers(block, most, &mut multiples);
        for (coefficient, row) in coefficients.iter().zip(rows.chunks_exact_mut(row_bytes)) {
            let target = row.get_mut(begin..).unwrap_or_default();
            for (bit, multiple) in multiples.iter().enumerate() {
                if coefficient >> bit & 1 != 0 {
                    add(target, multiple.get(..block.len()).unwrap_or_default());
                }
            }
        }
    }
}

/// `block` times 1, x, x^2 … up to the highest bit of `most`.
fn multiply_by_powers(block: &[u8], most: u8, multiples: &mut [[u8; BLOCK_BYTES]; 8]) {
    let [first, others @ ..] = multiples;
    if let Some(place) = first.get_mut(..block.len()) {
        place.copy_from_slice(block);
    }
    let mut last = first;
    let count = 7_u32.saturating_sub(most.leading_zeros()) as usize;
    for multiple in others.iter_mut().take(count) {
        for (product, byte) in multiple.iter_mut().zip(last.iter()) {
            *product = double(*byte);
        }
        last = multiple;
    }
}

fn add(target: &mut [u8], summand: &[u8]) {
    for (byte, more) in target.iter_mut().zip(summand) {
        *byte ^= more;
    }
}

/// The fragments at `places` of their group, of which `sums` has the sums that `rows` name, one after the other; they take the sums' places.
///
/// There are as many rows as places, each once: every square part of a Cauchy matrix has an inverse, so no row is ever to be exchanged.
pub(super) fn solve(rows: &[u8], places: &[u8], sums: &mut [u8], row_bytes: usize) {
    let size = places.len();
    if size == 0 || row_bytes == 0 {
        return;
    }
    let mut matrix: Vec<u8> = rows
        .iter()
        .flat_map(|row| places.iter().map(|place| coefficient(*row, *place)))
        .collect();
    let mut factors = vec![0; size];
    for column in 0..size {
        for (factor, row) in factors.iter_mut().zip(matrix.chunks_exact(size)) {
            *factor = row.get(column).copied().unwrap_or(0);
        }
        let pivot = factors.get(column).copied().unwrap_or(0);
        let scale = inverse(pivot);
        // Subtracting (1 + 1/pivot) times the row from itself divides it by its pivot; from the others their own entry times that.
        for (row, factor) in factors.iter_mut().enumerate() {
            *factor = if row == column {
                1 ^ scale
            } else {
                multiply(*factor, scale)
            };
        }
        eliminate(&factors, column, &mut matrix, size);
        eliminate(&factors, column, sums, row_bytes);
    }
}

/// Adds row `from`, times each row's factor, to all rows.
fn eliminate(factors: &[u8], from: usize, rows: &mut [u8], row_bytes: usize) {
    let source = rows.chunks_exact(row_bytes).nth(from).map(<[u8]>::to_vec);
    add_products(&source.unwrap_or_default(), factors, rows, row_bytes);
}
