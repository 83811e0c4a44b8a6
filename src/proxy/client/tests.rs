use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HEADER: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(600);
const STALL: Duration = Duration::from_secs(300);

const PATIENCE: Patience = Patience {
    header: HEADER,
    idle: IDLE,
    stall: STALL,
    head_bytes: 16,
};

/// A client as seen from `socket`, and its other end.
async fn client_from(socket: &str) -> (Rc<Client>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap());
    let (other, accepted) = tokio::join!(other, listener.accept());
    let stream = SharedStream::new(accepted.unwrap().0);
    (
        Client::new(
            stream,
            socket.parse().unwrap(),
            Version::HTTP_11,
            Instant::now(),
            PATIENCE,
        ),
        other.unwrap(),
    )
}

async fn client() -> Rc<Client> {
    client_from("127.0.0.1:1").await.0
}

#[tokio::test]
async fn a_first_heads_time_runs_from_the_connections_first_moment() {
    let client = client().await;
    let opened = client.since.get();
    assert_eq!(client.deadline(), Some((opened + HEADER, Expired::Quiet)));
    client.read(b"GET");
    assert_eq!(client.deadline(), Some((opened + HEADER, Expired::Head)));
    let _in_hand = client.begin();
    assert_eq!(client.deadline(), None);
}

#[tokio::test]
async fn a_later_heads_time_runs_from_its_first_byte_and_idleness_from_the_last_end() {
    let client = client().await;
    drop(client.begin());
    let (idle_until, expired) = client.deadline().unwrap();
    assert_eq!(
        (idle_until, expired),
        (client.since.get() + IDLE, Expired::Quiet)
    );
    client.read(b"G");
    let begun = client.since.get();
    client.read(b"E");
    assert_eq!(client.deadline(), Some((begun + HEADER, Expired::Head)));
}

#[tokio::test]
async fn the_head_is_kept_until_its_request_ends_and_bodies_are_not() {
    let client = client().await;
    client.read(b"GET / ");
    client.read(b"HTTP");
    let in_hand = client.begin();
    client.read(b"body");
    assert_eq!(&*client.raw_head(), b"GET / HTTP");
    drop(in_hand);
    assert!(client.raw_head().is_empty());
}

#[tokio::test]
async fn what_would_pass_the_bound_is_not_kept() {
    let client = client().await;
    client.read(&[b'x'; 10]);
    client.read(&[b'y'; 10]);
    assert_eq!(&*client.raw_head(), b"xxxxxxxxxxyyyyyy");
}

#[tokio::test]
async fn an_ipv4_client_on_an_ipv6_socket_is_named_by_its_ipv4_address() {
    let (mapped, _other) = client_from("[::ffff:10.1.2.3]:5").await;
    assert_eq!(mapped.address, "10.1.2.3");
}

#[tokio::test]
async fn a_request_has_its_deadline_from_the_responses_head_to_its_end() {
    let client = client().await;
    let over = Instant::now() + HEADER;
    let in_hand = client.begin();
    client.set_deadline(over);
    assert_eq!(client.deadline(), None);
    client.answer();
    assert_eq!(client.deadline(), Some((over, Expired::Request)));
    assert!(!client.is_overdue());
    drop(in_hand);
    let _in_hand = client.begin();
    client.answer();
    assert_eq!(client.deadline(), None);
}

/// Whether the client's patience with its responses is running, and since when.
fn stalled(client: &Client) -> Option<Instant> {
    let (deadline, expired) = client.deadline()?;
    assert_eq!(expired, Expired::Stalled);
    Some(deadline - STALL)
}

#[tokio::test]
async fn a_response_that_is_not_asked_on_stalls_from_when_that_is_seen() {
    let client = client().await;
    let _in_hand = client.begin();
    let mut taking = Taking::begin(client.clone());
    client.answer();
    let since = stalled(&client).unwrap();
    assert_eq!(stalled(&client), Some(since));
    taking.ask();
    assert_eq!(stalled(&client), None);
    taking.ask();
    taking.hand_over();
    assert!(stalled(&client).unwrap() > since);
    drop(taking);
    assert_eq!(stalled(&client), None);
}

#[tokio::test]
async fn one_response_that_waits_for_its_pod_speaks_for_all_of_a_connection() {
    let client = client().await;
    let _in_hand = client.begin();
    let taken = Taking::begin(client.clone());
    let mut asking = Taking::begin(client.clone());
    let since = stalled(&client).unwrap();
    asking.ask();
    assert_eq!(stalled(&client), None);
    asking.hand_over();
    let again = stalled(&client).unwrap();
    assert!(again > since, "a frame taken by one is progress for all");
    asking.ask();
    drop(asking);
    assert!(stalled(&client).is_some());
    drop(taken);
    assert_eq!(stalled(&client), None);
}

#[tokio::test]
async fn the_nearer_of_a_requests_end_and_a_stalls_end_counts() {
    let client = client().await;
    let _in_hand = client.begin();
    let _taking = Taking::begin(client.clone());
    client.answer();
    for (limit, expected) in [(STALL / 2, Expired::Request), (STALL * 2, Expired::Stalled)] {
        client.set_deadline(Instant::now() + limit);
        let (_, expired) = client.deadline().unwrap();
        assert_eq!(expired, expected);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_with_its_bytes_unread() {
    let (client, mut other) = client_from("127.0.0.1:1").await;
    other.write_all(b"body").await.unwrap();
    let mut left = Box::pin(client.left());
    assert!(futures::poll!(&mut left).is_pending());
    drop(other);
    left.await;
}
