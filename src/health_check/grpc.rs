//! The two messages of `grpc.health.v1.Health/Check`, in their frames. Source: gRPC's health-checking.md and
//! PROTOCOL-HTTP2.md.

use super::Failure;
use crate::protobuf::{self, Value};

pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is read: the message has one number.
pub(super) const MOST_ANSWER: usize = 1024;

/// What a frame has before its message: whether it is compressed, and the length.
const PREFIX: usize = 5;

/// `HealthCheckRequest { string service = 1; }`
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        protobuf::push_bytes(&mut message, 1, service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.append(&mut message);
    frame
}

/// Reads `HealthCheckResponse { ServingStatus status = 1; }`: only SERVING is healthy.
pub fn read_response(frame: &[u8]) -> Result<(), Failure> {
    let (prefix, message) = frame.split_at_checked(PREFIX).ok_or(Failure::Malformed)?;
    let [0, length @ ..] = prefix else {
        return Err(Failure::Malformed);
    };
    let length = <[u8; 4]>::try_from(length).map(u32::from_be_bytes);
    let whole = length.is_ok_and(|length| usize::try_from(length) == Ok(message.len()));
    if !whole {
        return Err(Failure::Malformed);
    }
    match status(message).ok_or(Failure::Malformed)? {
        1 => Ok(()),
        2 => Err(Failure::NotServing("NOT_SERVING")),
        3 => Err(Failure::NotServing("SERVICE_UNKNOWN")),
        _ => Err(Failure::NotServing("UNKNOWN")),
    }
}

/// Field 1 of a message, the last one if there are several; 0, the default, where there is none. Others are skipped.
fn status(message: &[u8]) -> Option<u64> {
    let mut status = 0;
    for field in protobuf::fields(message) {
        if let (1, Value::Varint(value)) = field? {
            status = value;
        }
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_as_protoc_writes_them() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn only_serving_is_healthy() {
        let frame = |message: &[u8]| {
            let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
            frame.extend_from_slice(message);
            read_response(&frame)
        };
        assert_eq!(frame(&[8, 1]), Ok(()));
        assert_eq!(frame(&[8, 2]), Err(Failure::NotServing("NOT_SERVING")));
        assert_eq!(frame(&[8, 3]), Err(Failure::NotServing("SERVICE_UNKNOWN")));
        assert_eq!(frame(&[]), Err(Failure::NotServing("UNKNOWN")));
        // Fields of a later version are skipped, and the last of several holds.
        let later = [
            8, 2, 0x12, 2, 8, 9, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x28, 5, 8, 0x81,
            0,
        ];
        assert_eq!(frame(&later), Ok(()));
        for malformed in [&[8][..], &[8, 0x80], &[0x12, 9, 1], &[0x0b, 1], &[0xff; 12]] {
            assert_eq!(frame(malformed), Err(Failure::Malformed), "{malformed:?}");
        }
        for malformed in [
            &[][..],
            &[0, 0, 0, 0, 2, 8],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 1, 8, 1],
        ] {
            assert_eq!(read_response(malformed), Err(Failure::Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_response(&bytes);
            let _ = status(&bytes);
        }
    }
}
