//! Looks for secrets in the memory of another process. The tests of the whole system read this file too.
#![allow(unreachable_pub, reason = "it is reachable there")]

use std::collections::HashMap;
use std::os::unix::fs::FileExt;

/// Every mapping of the process that can have been written, as it is now.
pub fn writable_memory(process: u32) -> Vec<Vec<u8>> {
    let process = format!("/proc/{process}");
    let maps = std::fs::read_to_string(format!("{process}/maps")).unwrap();
    let memory = std::fs::OpenOptions::new()
        .read(true)
        .open(format!("{process}/mem"))
        .unwrap();
    let mut mappings = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        if !access.starts_with("rw") {
            continue;
        }
        let (begin, end) = range.split_once('-').unwrap();
        let begin = u64::from_str_radix(begin, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        memory.read_exact_at(&mut bytes, begin).unwrap();
        mappings.push(bytes);
    }
    mappings
}

/// Which of `secrets` are in `memory`, by number: any 16 bytes of one that begin at a multiple of 8 are enough, so that one whose ends
/// are missing or altered is found.
pub fn find<'a>(memory: &[Vec<u8>], secrets: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
    let mut parts: HashMap<[u8; 16], usize> = HashMap::new();
    let mut begins = vec![false; 1 << 16];
    for (number, secret) in secrets.into_iter().enumerate() {
        for part in secret.windows(16).step_by(8) {
            parts.insert(part.try_into().unwrap(), number);
            begins[usize::from(u16::from_le_bytes([part[0], part[1]]))] = true;
        }
    }
    let mut found = Vec::new();
    for mapping in memory {
        for window in mapping.windows(16) {
            if begins[usize::from(u16::from_le_bytes([window[0], window[1]]))]
                && let Some(&number) = parts.get(window)
            {
                found.push(number);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
