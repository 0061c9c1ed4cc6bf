//! Where there is no raw Ethernet, and what a person is told. Without root the tests say that nothing was tested.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sdvr_frame::MacAddress;
use sdvr_test_link::{INTERFACE, Link, Settings, Side};
use sdvr_transport::{EthernetError, bind_ethernet, ethernet_for_server};

const ETHERTYPE: u16 = 0x1337;

fn link() -> Option<Link> {
    Link::for_test(&Settings::default())
}

fn mac(side: Side) -> MacAddress {
    MacAddress(side.mac())
}

#[test]
fn a_missing_interface_and_one_without_ethernet_are_named() {
    let Some(link) = link() else { return };
    let bind = |interface: &str| {
        let bound = link.enter(Side::A, || bind_ethernet(interface, ETHERTYPE, 1));
        bound.unwrap_err().to_string()
    };
    for missing in ["sdvr9", "", "a/b", "a-name-that-is-too-long"] {
        let expected =
            format!("this host has no network interface {missing:?}; `ip link` lists them");
        assert_eq!(bind(missing), expected);
    }
    assert_eq!(
        bind("lo"),
        "lo is no Ethernet interface; `ip link` shows link/ether for those that are"
    );
    let client = |ethertype, server| {
        let bound = link.enter(Side::A, || {
            ethernet_for_server(INTERFACE, ethertype, server)
        });
        bound.unwrap_err()
    };
    let broadcast = client(ETHERTYPE, MacAddress([0xff; 6]));
    assert!(
        matches!(broadcast, EthernetError::NotAServer(_)),
        "{broadcast}"
    );
    let length = client(1_500, mac(Side::B));
    assert!(
        matches!(length, EthernetError::NotAnEthertype(1_500)),
        "{length}"
    );
    let bound = link.enter(Side::A, || bind_ethernet(INTERFACE, ETHERTYPE, 256));
    assert!(matches!(bound, Err(EthernetError::TooManyShards(256))));
    assert_eq!(
        link.enter(Side::A, || bind_ethernet(INTERFACE, ETHERTYPE, 255))
            .unwrap()
            .len(),
        256
    );
}

#[test]
fn an_ethertype_has_one_server_on_an_interface() {
    let Some(link) = link() else { return };
    let bind = |side, ethertype| link.enter(side, || bind_ethernet(INTERFACE, ethertype, 1));
    let mut first = bind(Side::B, ETHERTYPE).unwrap();
    let error = bind(Side::B, ETHERTYPE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "another server receives ethertype 0x1337 on sdvr0 already: end it, or choose another ethertype"
    );
    // Not a client's business, and each network has its own.
    let _client = link
        .enter(Side::B, || {
            ethernet_for_server(INTERFACE, ETHERTYPE, mac(Side::A))
        })
        .unwrap();
    for (side, ethertype) in [(Side::B, 0x1338), (Side::A, ETHERTYPE)] {
        bind(side, ethertype).unwrap();
    }
    // Until the last of its sockets is closed.
    first.remove(0);
    assert!(bind(Side::B, ETHERTYPE).is_err());
    drop(first);
    bind(Side::B, ETHERTYPE).unwrap();
}

#[test]
fn who_may_not_is_told_how_to() {
    // Of this thread alone.
    let mut own = capabilities(None).unwrap();
    own.effective.remove(CapabilitySet::NET_RAW);
    set_capabilities(None, own).unwrap();
    let error = bind_ethernet("lo", ETHERTYPE, 1).unwrap_err();
    assert!(matches!(error, EthernetError::NotPermitted), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("sudo") && text.contains("setcap cap_net_raw+ep"),
        "{text}"
    );
}
