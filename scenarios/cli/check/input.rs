//! Where a history comes from: a file or standard input, plain or compressed.

use flate2::read::MultiGzDecoder;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, Chain, Cursor, Read};
use std::path::Path;
use std::time::Duration;

/// A history while it is read: what is read of it is seen on the bar.
pub(super) fn open(path: &Path, bar: &ProgressBar) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return decompressed(bar.wrap_read(io::stdin().lock()));
    }
    let file = File::open(path)?;
    bar.set_length(file.metadata()?.len());
    decompressed(bar.wrap_read(file))
}

type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// The content, whatever it is packed in: gzip and zstd are known by their first bytes.
fn decompressed<R: Read + 'static>(mut input: R) -> io::Result<Box<dyn Read>> {
    const LONGEST: u64 = 4;
    let mut head = Vec::new();
    input.by_ref().take(LONGEST).read_to_end(&mut head)?;
    let magic = head.clone();
    let whole: Peeked<R> = Cursor::new(head).chain(input);
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

/// A line on standard error for one history, if that is a terminal.
pub(super) fn bar(bars: &MultiProgress, name: &str) -> ProgressBar {
    let bar = bars.add(ProgressBar::no_length());
    let template = "{prefix} [{bar:20}] {binary_bytes} of {binary_total_bytes} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// Shows that the checker is at work, of which nobody knows how long it takes.
pub(super) fn works(bar: &ProgressBar, what: String) {
    if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::GzEncoder;

    fn content(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        decompressed(Cursor::new(bytes))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let text = "{:process 0, :type :invoke, :f :read}\n".repeat(100);
        let mut packed = Vec::new();
        let mut encoder = GzEncoder::new(text.as_bytes(), Compression::default());
        encoder.read_to_end(&mut packed).unwrap();
        assert!(packed.len() < text.len() / 10);
        assert_eq!(content(packed.clone()).unwrap(), text);
        // Pieces that were packed one by one are one file.
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(content(twice).unwrap(), text.repeat(2));
        // What is cut off is no shorter history.
        packed.truncate(packed.len() - 9);
        assert!(content(packed).is_err());
        let mut packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(content(packed.clone()).unwrap(), text);
        packed.truncate(packed.len() - 1);
        assert!(content(packed).is_err());
    }

    #[test]
    fn plain_files_of_any_length_are_what_they_are() {
        for text in ["", "{", "{:a", "{:process 0}"] {
            assert_eq!(content(text.into()).unwrap(), text);
        }
    }
}
