//! What a handle is good for, and what it is not.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::sync::Mutex;

use super::*;

struct Ticket;

fn handles(kind: usize) -> Handles<Mutex<u32>, Ticket> {
    Handles::new(kind)
}

#[track_caller]
fn check(result: Result<impl Sized, Failure>, status: sdvr_status) {
    assert_eq!(result.err().map(|failure| failure.status), Some(status));
}

#[test]
fn a_handle_is_good_until_it_is_given_back() {
    let handles = handles(1);
    let (first, second) = (
        handles.keep(Mutex::new(1)).unwrap(),
        handles.keep(Mutex::new(2)).unwrap(),
    );
    assert_eq!(*alone(&handles.find(first).unwrap()).unwrap(), 1);
    handles.give_back(first).unwrap();
    check(handles.find(first), sdvr_status::SDVR_INVALID_HANDLE);
    check(handles.give_back(first), sdvr_status::SDVR_INVALID_HANDLE);
    assert_eq!(*alone(&handles.find(second).unwrap()).unwrap(), 2);
}

#[test]
fn a_place_that_is_used_again_has_another_handle() {
    let handles = handles(1);
    let first = handles.keep(Mutex::new(1)).unwrap();
    handles.give_back(first).unwrap();
    let second = handles.keep(Mutex::new(2)).unwrap();
    assert_ne!(first, second);
    check(handles.find(first), sdvr_status::SDVR_INVALID_HANDLE);
    check(handles.give_back(first), sdvr_status::SDVR_INVALID_HANDLE);
    assert_eq!(*alone(&handles.find(second).unwrap()).unwrap(), 2);
}

#[test]
fn what_never_was_a_handle_is_refused() {
    let (handles, others) = (handles(1), handles(2));
    let handle = handles.keep(Mutex::new(1)).unwrap();
    others.keep(Mutex::new(1)).unwrap();
    check(others.find(handle), sdvr_status::SDVR_INVALID_HANDLE);
    let ticket = handle.addr();
    for bit in 0..usize::BITS {
        let forged = std::ptr::without_provenance::<Ticket>(ticket ^ 1 << bit);
        check(handles.find(forged), sdvr_status::SDVR_INVALID_HANDLE);
    }
    check(
        handles.find(std::ptr::null()),
        sdvr_status::SDVR_NULL_ARGUMENT,
    );
    handles.give_back(std::ptr::null()).unwrap();
}

#[test]
fn what_is_used_is_neither_used_again_nor_given_back() {
    let handles = handles(1);
    let handle = handles.keep(Mutex::new(1)).unwrap();
    let object = handles.find(handle).unwrap();
    let used = alone(&object).unwrap();
    check(
        alone(&handles.find(handle).unwrap()),
        sdvr_status::SDVR_BUSY,
    );
    check(handles.give_back(handle), sdvr_status::SDVR_BUSY);
    drop(used);
    drop(object);
    handles.give_back(handle).unwrap();
}
