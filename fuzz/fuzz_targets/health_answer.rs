//! The body that answers a gRPC health check -> whether the pod serves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podrobin::health_check::Failure;
use podrobin::health_check::grpc::read_response;

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let told = read_response(bytes);
    if told != Err(Failure::Malformed) {
        // One message, whole and plain, and nothing behind it.
        assert_eq!(bytes, frame(&bytes[5..]));
    }

    // Whatever these bytes are as a message.
    let told = read_response(&frame(bytes));
    let with = |field: &[u8]| read_response(&frame(&[bytes, field].concat()));
    if told == Err(Failure::Malformed) {
        return;
    }
    assert!(
        matches!(told, Ok(()) | Err(Failure::NotServing(_))),
        "{told:?}"
    );
    // The last status holds, and other fields are passed over, of each kind.
    assert_eq!(with(&[8, 1]), Ok(()));
    assert_eq!(with(&[8, 2]), Err(Failure::NotServing("NOT_SERVING")));
    for field in [
        &[0x78, 1][..],
        &[0x79, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x7a, 2, 8, 1],
        &[0x7d, 1, 2, 3, 4],
    ] {
        assert_eq!(with(field), told);
    }
    // What is cut off within a field says nothing.
    for field in [
        &[8][..],
        &[8, 0x80],
        &[0x79, 1],
        &[0x7a, 3, 8, 1],
        &[0x7d, 1, 2, 3],
    ] {
        assert_eq!(with(field), Err(Failure::Malformed));
    }
});
