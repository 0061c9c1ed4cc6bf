//! `sdvr web` and pages that are slow, or whose network is: what they get is new, and nobody else pays for it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use sdvr::{
    FourCc, FrameRate, PublishOptions, Published, Publisher, StreamFormat, StreamKind, Timestamp,
};
use sdvr_source::{CaptureOptions, Next, Source};
use sdvr_test_link::{Impairment, Link, Rate, Settings, Side};
use sdvr_tests::web::{Answer, Page, Web, ask, encrypted};
use sdvr_tests::{PATIENCE, Running, System, wait_until};

/// How many images a second, and so many are under way to a page at most.
const RATE: u64 = 30;
/// An image is more than a connection takes of whoever reads nothing.
const IMAGE_BYTES: usize = 300_000;
/// What the system keeps of what a page has not read.
const RECEIVE_BYTES: usize = 16 << 10;
const TOKEN: &str = "0123456789abcdef";

/// Images of a camera, of which a test says when each comes.
struct Images {
    publisher: Publisher,
    image: Vec<u8>,
    count: u64,
}

impl Images {
    /// What is before an image's number in it.
    const NUMBER: &[u8] = b"number ";
    /// How many digits it has.
    const DIGITS: usize = 20;

    fn new(system: &System, image_bytes: usize) -> Self {
        let options = PublishOptions {
            frames: Some(64),
            frame_most_bytes: Some(image_bytes as u64),
            kind: StreamKind::Video,
            ..PublishOptions::new(StreamFormat {
                fourcc: FourCc::MJPG,
                width: 64,
                height: 48,
                rate: "30".parse::<FrameRate>().unwrap(),
            })
        };
        Self {
            publisher: Publisher::create_in(&system.shm(), "door/copy", options).unwrap(),
            image: image_of(image_bytes),
            count: 0,
        }
    }

    fn publish(&mut self) {
        // Behind the first comment's header.
        let place = 6 + Self::NUMBER.len();
        let digits = format!("{:0width$}", self.count, width = Self::DIGITS);
        self.image[place..place + Self::DIGITS].copy_from_slice(digits.as_bytes());
        let published = self.publisher.publish(&self.image, &Published::now());
        published.unwrap();
        self.count += 1;
    }
}

/// A picture with comments in it, as many as it takes.
fn image_of(bytes: usize) -> Vec<u8> {
    const COMMENT_BYTES: usize = 60_000;
    let spec = "test:?format=MJPG&size=64x48&fps=0&count=1"
        .parse()
        .unwrap();
    let mut source = Source::open(&spec, &CaptureOptions::default()).unwrap();
    let picture = loop {
        if let Next::Frame(frame) = source.try_next(Timestamp::now()).unwrap() {
            break frame.payload.to_vec();
        }
    };
    let (start, rest) = picture.split_at(2);
    let mut image = start.to_vec();
    while image.len() + rest.len() < bytes {
        let missing = bytes - image.len() - rest.len();
        let comment_bytes = missing.min(COMMENT_BYTES);
        image.extend([0xff, 0xfe]);
        image.extend(u16::try_from(comment_bytes - 2).unwrap().to_be_bytes());
        image.extend(Images::NUMBER);
        image.resize(image.len() + comment_bytes - 4 - Images::NUMBER.len(), b'0');
    }
    image.extend(rest);
    assert_eq!(image.len(), bytes);
    image
}

/// A connection of somebody whose system keeps little of what he does not read.
fn narrow(web: &Web) -> TcpStream {
    let stream = web.connect();
    set_socket_recv_buffer_size(&stream, RECEIVE_BYTES).unwrap();
    stream
}

fn narrow_page(web: &Web) -> Page {
    let address = web.address.to_string();
    Page::open(narrow(web), &address, &format!("http://{address}")).unwrap()
}

/// The time that the threads of a program have worked.
fn worked(program: &Running) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let worked = threads.filter_map(|thread| {
        // It may have ended.
        let said = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        said.split(' ').next()?.parse().ok()
    });
    worked.map(Duration::from_nanos).sum()
}

/// The page reads nothing for a while, and goes on. `figures` asks for the server's.
#[track_caller]
fn check_stuck(web: &Web, mut page: Page, images: &mut Images, figures: impl Fn() -> Answer) {
    let count = || {
        let figures = figures();
        ["sent", "packed"].map(|name| figures.figure(&format!("sdvr_web_frames_{name}_total")))
    };
    page.watch("door/copy", &["jpeg"]);
    let mut stuck = count();
    wait_until("the page is stuck", || {
        for _ in 0..20 {
            images.publish();
            std::thread::sleep(Duration::from_millis(10));
        }
        let before = std::mem::replace(&mut stuck, count());
        stuck == before && stuck[0] > 0
    });
    let [sent, _] = stuck;
    assert!(
        sent < RATE,
        "it waits for the network, not for answers: {sent}"
    );
    let (began, before) = (Instant::now(), worked(&web.program));
    while began.elapsed() < Duration::from_secs(2) {
        images.publish();
        std::thread::sleep(Duration::from_millis(10));
    }
    let share = (worked(&web.program) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.1, "the server works {share:.3} of the time");
    // What nobody could take was not even looked at.
    assert_eq!(count(), stuck);
    // What was under way, and then the newest.
    let came: Vec<u64> = (0..=sent).map(|_| page.frame().number).collect();
    assert_eq!(came.last(), Some(&(images.count - 1)), "{came:?}");
    assert!(page.is_served());
}

#[test]
fn a_stuck_page_costs_no_time_and_gets_the_newest_image_when_it_goes_on() {
    let system = System::new();
    let mut images = Images::new(&system, IMAGE_BYTES);
    let web = Web::start(&system);
    check_stuck(&web, narrow_page(&web), &mut images, || web.get("/metrics"));
}

#[test]
fn so_does_one_whose_connection_is_encrypted() {
    let system = System::new();
    let mut images = Images::new(&system, IMAGE_BYTES);
    let web = Web::start_with(&system, &["--listen", "0.0.0.0:0", "--token", TOKEN]);
    let address = web.address.to_string();
    let page = Page::open_at(
        encrypted(narrow(&web)),
        &format!("/socket?token={TOKEN}"),
        &address,
        &format!("https://{address}"),
    );
    check_stuck(&web, page.unwrap(), &mut images, || {
        let path = format!("/metrics?token={TOKEN}");
        ask(encrypted(web.connect()), &address, &path, &[])
    });
}

#[test]
fn a_page_that_takes_nothing_for_long_is_given_up() {
    let system = System::new();
    let mut images = Images::new(&system, IMAGE_BYTES);
    let web = Web::start(&system);
    let mut page = narrow_page(&web);
    page.watch("door/copy", &["jpeg"]);
    wait_until("it is gone", || {
        images.publish();
        std::thread::sleep(Duration::from_millis(50));
        web.figure("sdvr_web_sockets") == 0
    });
    wait_until("nobody reads the camera", || {
        web.figure("sdvr_web_readers") == 0
    });
}

/// Somebody reads an image where so many were published.
const PUBLISHED_MEANWHILE: u64 = 10;
/// No more images are on their way to him: in the network, and in the server behind it.
const ON_THEIR_WAY_MOST: u64 = 3;

/// Reads slowly, beside a page that is quick. `next` is the number of the next image that the slow one reads.
#[track_caller]
fn check_slow(web: &Web, images: &mut Images, mut next: impl FnMut() -> u64) {
    let mut quick = web.open_page();
    quick.watch("door/copy", &["jpeg"]);
    let first = quick.frame();
    quick.show(&first);
    for _ in 0..40 {
        for _ in 0..PUBLISHED_MEANWHILE {
            images.publish();
            let frame = quick.frame();
            assert_eq!(frame.number, images.count - 1);
            quick.show(&frame);
        }
        let behind = images.count - 1 - next();
        assert!(
            behind <= PUBLISHED_MEANWHILE * ON_THEIR_WAY_MOST,
            "{behind} of {}",
            images.count
        );
    }
}

#[test]
fn who_reads_slowly_is_never_far_behind_and_delays_nobody() {
    let system = System::new();
    let mut images = Images::new(&system, IMAGE_BYTES);
    let web = Web::start(&system);
    let mut slow = narrow_page(&web);
    slow.watch("door/copy", &["jpeg"]);
    images.publish();
    check_slow(&web, &mut images, || {
        let frame = slow.frame();
        slow.show(&frame);
        frame.number
    });
}

#[test]
fn nor_is_a_program_that_reads_pictures_for_ever() {
    let system = System::new();
    let mut images = Images::new(&system, IMAGE_BYTES);
    images.publish();
    let web = Web::start(&system);
    let mut stream = narrow(&web);
    let request = format!(
        "GET /stream/door%2Fcopy.mjpg HTTP/1.1\r\nHost: {}\r\n\r\n",
        web.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::with_capacity(4096, stream);
    check_slow(&web, &mut images, || number_in(&mut stream));
}

/// The number of the next image of a stream that has its length before it.
fn number_in(stream: &mut impl BufRead) -> u64 {
    let mut line = Vec::new();
    let bytes: usize = loop {
        line.clear();
        assert!(stream.read_until(b'\n', &mut line).unwrap() > 0, "it ended");
        if let Some(bytes) = line.strip_prefix(b"Content-Length: ") {
            break std::str::from_utf8(bytes).unwrap().trim().parse().unwrap();
        }
    };
    // The rest of a part may stand in chunks of whatever length: the number is near its beginning.
    let mut image = Vec::new();
    stream
        .by_ref()
        .take(bytes as u64)
        .read_to_end(&mut image)
        .unwrap();
    let at = image
        .windows(Images::NUMBER.len())
        .position(|some| some == Images::NUMBER);
    let digits = at.unwrap() + Images::NUMBER.len();
    let digits = &image[digits..digits + Images::DIGITS];
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

#[test]
fn what_a_page_shows_does_not_grow_old_in_a_network_that_keeps_much() {
    let Some(link) = Link::for_test(&Settings::default()) else {
        return;
    };
    // One that fills whatever there is on its way, as most systems have it; not every system lets a namespace choose another.
    let reno = link
        .command(Side::B, "sysctl")
        .args(["-qw", "net.ipv4.tcp_congestion_control=reno"])
        .status();
    assert!(reno.unwrap().success());
    let system = System::new();
    let mut images = Images::new(&system, 100_000);
    let address = link.ipv4(Side::B);
    let listen = format!("{address}:0");
    let web = Web::start_by(
        &system,
        &["--listen", &listen, "--token", TOKEN],
        |command| {
            let mut entering = link.command(Side::B, command.get_program());
            entering.args(command.get_args());
            for (name, value) in command.get_envs() {
                entering.env(name, value.unwrap_or_default());
            }
            entering
        },
    );
    let address = format!("{address}:{}", web.address.port());
    link.impair_both(Impairment {
        delay: Duration::from_millis(10),
        // It would keep an image for 16 seconds.
        rate: Some(Rate {
            bits_per_second: 1_000_000,
            queue_bytes: 2_000_000,
        }),
        ..Impairment::default()
    });
    let stream = link.enter(Side::A, || TcpStream::connect(&address).unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = format!("/socket?token={TOKEN}");
    let origin = format!("https://{address}");
    let mut page = Page::open_at(encrypted(stream), &path, &address, &origin).unwrap();
    page.watch("door/copy", &["jpeg"]);
    let (began, end) = (Instant::now(), Duration::from_secs(18));
    let publishing = std::thread::spawn(move || {
        // Somewhat longer, so that there is always a next one.
        while began.elapsed() < end + PATIENCE / 10 {
            images.publish();
            std::thread::sleep(Duration::from_nanos(1_000_000_000 / RATE));
        }
    });
    // At first the network takes all there is. By the time that it would be full, it is almost empty.
    let mut ages_ms = Vec::new();
    while began.elapsed() < end {
        let frame = page.frame();
        let age = Timestamp::now()
            .saturating_since(Timestamp::from_nanoseconds(frame.captured_us * 1000));
        if began.elapsed() > end * 2 / 3 {
            ages_ms.push(age.as_millis());
        }
        page.show(&frame);
    }
    publishing.join().unwrap();
    assert!(ages_ms.iter().any(|&age| age < 3_000), "{ages_ms:?}");
}
