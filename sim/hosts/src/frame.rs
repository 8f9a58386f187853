//! Frames: how messages stand in a stream of bytes.
//!
//! ```text
//! frame = length u32, version u8, check u64, content
//! ```
//!
//! The length is that of the content; numbers are little-endian. The check is XXH3 of length, version and content, and the content is
//! postcard. A length beyond the limit is refused before anything is kept for it, so that nobody can make a process hold
//! more than one frame for each connection.

use bytes::{Buf, BufMut, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::io;
use std::marker::PhantomData;
use tokio_util::codec::{Decoder, Encoder};
use xxhash_rust::xxh3::Xxh3;

/// The version of the frames, and of what is in them. Another one is refused.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 13;

/// The longest content of a frame, if nothing else is said: 16 MiB.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// What goes from one process to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame<M> {
    /// The first frame in each direction of a connection.
    Hello(Hello),
    /// A message from a node to a node.
    Message {
        /// Who sends it.
        from: NodeId,
        /// Who is to get it.
        to: NodeId,
        /// What it says.
        message: M,
    },
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Which cluster the process belongs to; one of another cluster is refused.
    pub cluster: String,
    /// The nodes in the process.
    pub nodes: Vec<NodeId>,
}

/// Why a connection is not understood. Bytes that are not a frame cannot be told from the beginning of the next, so the
/// connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than is allowed.
    #[error("a frame of {length} bytes, where {most} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        most: usize,
    },
    /// Of another version.
    #[error("a frame of version {0}, where {VERSION} is spoken")]
    Version(u8),
    /// Not what was sent, or no frame.
    #[error("a frame whose check does not fit")]
    Check,
    /// Sound, and without meaning.
    #[error("a frame that says nothing: {0}")]
    Content(postcard::Error),
    /// Sound, and refused by the type of what is in it: it lies too deep in itself, or is a text where a name must be.
    #[error("a frame that holds what no message may")]
    Refused,
    /// The connection fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes and reads frames whose messages are of the type `M`.
#[derive(Debug)]
pub struct FrameCodec<M> {
    bytes_max: usize,
    message: PhantomData<fn() -> M>,
}

impl<M> FrameCodec<M> {
    /// One for frames whose content is of at most so many bytes.
    pub const fn new(bytes_max: usize) -> FrameCodec<M> {
        FrameCodec {
            bytes_max,
            message: PhantomData,
        }
    }
}

fn check(length: [u8; 4], version: u8, content: &[u8]) -> u64 {
    let mut check = Xxh3::new();
    check.update(&length);
    check.update(&[version]);
    check.update(content);
    check.digest()
}

impl<M: Serialize> Encoder<&Frame<M>> for FrameCodec<M> {
    type Error = FrameError;

    fn encode(&mut self, frame: &Frame<M>, into: &mut BytesMut) -> Result<(), FrameError> {
        let start = into.len();
        into.put_bytes(0, HEADER_BYTES);
        let written = postcard::to_extend(frame, into.split_off(start));
        let mut bytes = written.map_err(FrameError::Content)?;
        let (header, content) = bytes.split_at_mut(HEADER_BYTES);
        let too_long = FrameError::TooLong {
            length: content.len(),
            most: self.bytes_max,
        };
        let length = match u32::try_from(content.len()) {
            Ok(length) if content.len() <= self.bytes_max => length.to_le_bytes(),
            _ => return Err(too_long),
        };
        header[..4].copy_from_slice(&length);
        header[4] = VERSION;
        header[5..].copy_from_slice(&check(length, VERSION, content).to_le_bytes());
        into.unsplit(bytes);
        Ok(())
    }
}

impl<M: DeserializeOwned> Decoder for FrameCodec<M> {
    type Item = Frame<M>;
    type Error = FrameError;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Frame<M>>, FrameError> {
        let Some((header, rest)) = from.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let mut fields = &header[..];
        let length = fields.get_u32_le();
        let version = fields.get_u8();
        let expected = fields.get_u64_le();
        let (length, bytes) = (length as usize, length.to_le_bytes());
        // Before the length is believed.
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if length > self.bytes_max {
            return Err(FrameError::TooLong {
                length,
                most: self.bytes_max,
            });
        }
        let Some(content) = rest.get(..length) else {
            from.reserve(HEADER_BYTES + length - from.len());
            return Ok(None);
        };
        if check(bytes, version, content) != expected {
            return Err(FrameError::Check);
        }
        let frame = match postcard::take_from_bytes(content) {
            Ok((frame, [])) => frame,
            Ok(_) => return Err(FrameError::Content(postcard::Error::DeserializeBadEncoding)),
            Err(postcard::Error::SerdeDeCustom) => return Err(FrameError::Refused),
            Err(error) => return Err(FrameError::Content(error)),
        };
        from.advance(HEADER_BYTES + length);
        Ok(Some(frame))
    }

    /// A stream that ends within a frame was cut, as connections are: that is no malformed frame.
    fn decode_eof(&mut self, from: &mut BytesMut) -> Result<Option<Frame<M>>, FrameError> {
        let frame = self.decode(from)?;
        if frame.is_none() {
            from.clear();
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod messages;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Message = (String, Vec<Option<u64>>);
    const BYTES_MAX: usize = 200;

    fn encoded(frames: &[Frame<Message>]) -> BytesMut {
        let mut bytes = BytesMut::new();
        let mut codec = FrameCodec::new(BYTES_MAX);
        for frame in frames {
            codec.encode(frame, &mut bytes).unwrap();
        }
        bytes
    }

    /// Reads as many frames as there are; the error at which reading ends, if it does.
    fn decoded(bytes: &mut BytesMut) -> (Vec<Frame<Message>>, Option<FrameError>) {
        let mut codec = FrameCodec::new(BYTES_MAX);
        let mut frames = Vec::new();
        loop {
            match codec.decode(bytes) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    fn message(text: &str) -> Frame<Message> {
        Frame::Message {
            from: NodeId::from_index(0),
            to: NodeId::from_index(2),
            message: (text.to_owned(), vec![None, Some(7)]),
        }
    }

    fn hello() -> Frame<Message> {
        Frame::Hello(Hello {
            cluster: "c".into(),
            nodes: vec![NodeId::from_index(4)],
        })
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let frames = [hello(), message("a"), message("")];
        let bytes = encoded(&frames);
        for cut in 0..bytes.len() {
            let mut arrived = BytesMut::from(&bytes[..cut]);
            let (mut read, error) = decoded(&mut arrived);
            assert!(error.is_none(), "{error:?}");
            arrived.extend_from_slice(&bytes[cut..]);
            read.extend(decoded(&mut arrived).0);
            assert_eq!(read, frames);
            assert!(arrived.is_empty());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encoded(&[message("abc")]);
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (frames, error) = decoded(&mut damaged);
            assert!(frames.is_empty(), "bit {bit}");
            // A length that has grown within the limit waits for more, which will not fit the check.
            assert!(error.is_some() || bit / 8 < 4, "bit {bit}");
        }
    }

    #[test]
    fn what_is_too_long_is_neither_sent_nor_waited_for() {
        let mut codec = FrameCodec::new(BYTES_MAX);
        let mut bytes = encoded(&[message("a")]);
        let before = bytes.clone();
        let long = message(&"x".repeat(BYTES_MAX));
        let error = codec.encode(&long, &mut bytes).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
        assert_eq!(bytes, before, "what was written before is whole");

        let mut bytes = BytesMut::new();
        bytes.put_u32_le(u32::MAX);
        bytes.put_u8(VERSION);
        bytes.put_bytes(0, 8);
        let error = decoded(&mut bytes).1;
        assert!(matches!(error, Some(FrameError::TooLong { .. })));
        assert!(bytes.capacity() < 4 * BYTES_MAX);
    }

    #[test]
    fn another_version_and_empty_content_are_refused() {
        let mut bytes = encoded(&[message("a")]);
        bytes[4] = VERSION + 1;
        assert!(matches!(
            decoded(&mut bytes).1,
            Some(FrameError::Version(_))
        ));
        let mut bytes = BytesMut::new();
        bytes.put_u32_le(0);
        bytes.put_u8(VERSION);
        bytes.put_u64_le(check([0; 4], VERSION, &[]));
        assert!(matches!(
            decoded(&mut bytes).1,
            Some(FrameError::Content(_))
        ));
    }

    /// A frame with a sound header and any content.
    pub(super) fn sealed(content: &[u8]) -> BytesMut {
        let length = (content.len() as u32).to_le_bytes();
        let mut bytes = BytesMut::from(&length[..]);
        bytes.put_u8(VERSION);
        bytes.put_u64_le(check(length, VERSION, content));
        bytes.put_slice(content);
        bytes
    }

    proptest! {
        #![proptest_config(crate::testing::cases())]

        /// What nobody has sent: junk, junk in a sound frame, and sound frames that were damaged on their way.
        #[test]
        fn any_bytes_are_read_or_refused_in_little_memory(
            junk in proptest::collection::vec(any::<u8>(), 0..300),
            texts in proptest::collection::vec("[a-z]{0,9}", 0..4),
            damage in proptest::option::of((any::<usize>(), 1..=u8::MAX)),
        ) {
            let frames: Vec<Frame<Message>> = texts.iter().map(|text| message(text)).collect();
            let mut bytes = encoded(&frames);
            let sound = bytes.len();
            bytes.extend_from_slice(&junk);
            if let Some((at, with)) = damage.filter(|_| !bytes.is_empty()) {
                let at = at % bytes.len();
                bytes[at] ^= with;
                let (read, _) = decoded(&mut bytes);
                prop_assert!(read.len() <= frames.len());
                if at >= sound {
                    prop_assert_eq!(&read, &frames);
                } else {
                    prop_assert_eq!(&read[..], &frames[..read.len()]);
                    prop_assert!(read.len() < frames.len());
                }
            } else {
                prop_assert_eq!(decoded(&mut bytes).0, frames);
            }
            prop_assert!(bytes.capacity() <= 2 * (sound + junk.len() + BYTES_MAX + HEADER_BYTES));
            // With a check that fits, the content has to be looked at.
            if junk.len() <= BYTES_MAX {
                let (read, error) = decoded(&mut sealed(&junk));
                prop_assert_eq!(read.len() + usize::from(error.is_some()), 1);
            }
        }
    }
}
