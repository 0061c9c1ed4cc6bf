//! The shortest way through the protocol: two ends meet, and frames go from one to the other.

mod support;

use support::{NOW, deliver, payload, seal_frame, streaming};

#[test]
fn frames_arrive_as_they_were_sent() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        assert_eq!(client.suite(), server.suite());
        for (number, length) in [1, 8, 65_000, 65_480, 65_481, 200_000, 1 << 20]
            .into_iter()
            .enumerate()
        {
            let payload = payload(number as u64, length);
            let mut wire = seal_frame(&mut client, NOW, number as u64, &payload);
            assert_eq!(deliver(&mut server, &mut wire), payload);
        }
        assert_eq!(server.clock().round_trip(), Some(std::time::Duration::ZERO));
    }
}
