//! The two messages of `grpc.health.v1.Health/Check`, in their frames. Source: gRPC's health-checking.md and
//! PROTOCOL-HTTP2.md, and the encoding of Protocol Buffers.

use super::Failure;

pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is read: the message has one number.
pub(super) const MOST_ANSWER: usize = 1024;

/// What a frame has before its message: whether it is compressed, and the length.
const PREFIX: usize = 5;

/// `HealthCheckRequest { string service = 1; }`
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | LENGTH_DELIMITED);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
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

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED_32: u8 = 5;

/// Field 1 of a message, the last one if there are several; 0, the default, where there is none. Others are skipped.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let kind = u8::try_from(key & 7).ok()?;
        let skipped = match kind {
            VARINT => {
                let value = take_varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            FIXED_64 => 8,
            FIXED_32 => 4,
            LENGTH_DELIMITED => usize::try_from(take_varint(&mut message)?).ok()?,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(status)
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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

        #[test]
        fn a_varint_reads_as_it_was_written(value in any::<u64>()) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
