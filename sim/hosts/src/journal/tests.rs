use super::*;

fn batch(appended: &[&str]) -> Batch {
    Batch {
        compacted: None,
        appended: Encoded::of(appended),
    }
}

fn compaction(compacted: &[&str], appended: &[&str]) -> Batch {
    Batch {
        compacted: Some(Encoded::of(compacted)),
        ..batch(appended)
    }
}

fn found(folder: &Path) -> Vec<Result<String, Damage>> {
    let (_, journal) = FileJournal::open(folder).unwrap();
    journal.into_iter().collect()
}

fn all(records: &[&str]) -> Vec<Result<String, Damage>> {
    records
        .iter()
        .map(|record| Ok((*record).to_owned()))
        .collect()
}

/// A folder with a journal, and the end of each sync's records in the file.
fn written(batches: &[&[&str]]) -> (tempfile::TempDir, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = FileJournal::create::<&str>(folder.path(), &[]).unwrap();
    let mut ends = Vec::new();
    for records in batches {
        journal.commit(&batch(records)).unwrap();
        ends.push(journal.end);
    }
    (folder, ends)
}

#[test]
fn what_is_committed_is_found() {
    let (folder, _) = written(&[&["a", "b"], &[], &["c"]]);
    assert_eq!(found(folder.path()), all(&["a", "b", "c"]));
    let (mut journal, _) = FileJournal::open::<String>(folder.path()).unwrap();
    journal.commit(&batch(&["d"])).unwrap();
    drop(journal);
    assert_eq!(found(folder.path()), all(&["a", "b", "c", "d"]));
}

#[test]
fn a_compaction_replaces_everything_and_what_follows_comes_behind_it() {
    let (folder, _) = written(&[&["a", "b"]]);
    let (mut journal, _) = FileJournal::open::<String>(folder.path()).unwrap();
    journal.commit(&compaction(&["ab"], &["c"])).unwrap();
    journal.commit(&batch(&["d"])).unwrap();
    drop(journal);
    assert_eq!(found(folder.path()), all(&["ab", "c", "d"]));
    assert!(!folder.path().join("journal.new").exists());
}

#[test]
fn a_compaction_that_was_cut_short_has_not_happened() {
    let (folder, _) = written(&[&["a"]]);
    fs::write(folder.path().join("journal.new"), b"half of a jour").unwrap();
    assert_eq!(found(folder.path()), all(&["a"]));
    assert!(!folder.path().join("journal.new").exists());
}

#[test]
fn a_torn_tail_is_told_once_and_cut() {
    let (folder, ends) = written(&[&["a"], &["bbbb"]]);
    let path = folder.path().join("journal");
    let file = File::options().write(true).open(&path).unwrap();
    let mark_and_half_of_a_record = ends[0] + format::HEAD_BYTES as u64 + 2;
    file.set_len(mark_and_half_of_a_record).unwrap();
    let mut expected = all(&["a"]);
    expected.push(Err(Damage::Torn));
    assert_eq!(found(folder.path()), expected);
    let (mut journal, read) = FileJournal::open::<String>(folder.path()).unwrap();
    assert_eq!(read.damage().count(), 0, "who reads it cuts it off");
    journal.commit(&batch(&["c"])).unwrap();
    drop(journal);
    assert_eq!(found(folder.path()), all(&["a", "c"]));
}

#[test]
fn corruption_is_told_in_its_place_and_again_until_it_is_compacted_away() {
    let (folder, _) = written(&[&["aaaa", "bbbb"], &["cccc"]]);
    let path = folder.path().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|four| four == b"bbbb").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut expected = all(&["aaaa", "bbbb", "cccc"]);
    expected[1] = Err(Damage::Corrupt);
    assert_eq!(found(folder.path()), expected);
    assert_eq!(found(folder.path()), expected);
    let (mut journal, _) = FileJournal::open::<String>(folder.path()).unwrap();
    journal.commit(&compaction(&["aaaa"], &[])).unwrap();
    drop(journal);
    assert_eq!(found(folder.path()), all(&["aaaa"]));
}

#[test]
fn the_last_durable_record_is_not_taken_for_torn_when_it_rots() {
    let (folder, _) = written(&[&["aaaa"], &["bbbb"]]);
    let path = folder.path().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|four| four == b"bbbb").unwrap();
    bytes[at] ^= 1;
    // What a crash during the next batch leaves.
    bytes.extend_from_slice(b"half of a record");
    fs::write(&path, bytes).unwrap();
    let mut expected = all(&["aaaa"]);
    expected.push(Err(Damage::Corrupt));
    let torn = expected.iter().cloned().chain([Err(Damage::Torn)]);
    assert_eq!(found(folder.path()), torn.collect::<Vec<_>>());
    assert_eq!(
        found(folder.path()),
        expected,
        "the cut has left what says that it was durable"
    );
}

#[test]
fn two_do_not_share_a_journal() {
    let (folder, _) = written(&[&["a"]]);
    let first = FileJournal::open::<String>(folder.path()).unwrap();
    let second = FileJournal::open::<String>(folder.path()).unwrap_err();
    assert!(matches!(second, JournalError::InUse(_)), "{second}");
    drop(first);
    assert_eq!(found(folder.path()), all(&["a"]));
}

#[test]
fn none_is_made_over_another_and_none_is_opened_where_none_is() {
    let (folder, _) = written(&[&["a"]]);
    let error = FileJournal::create::<&str>(folder.path(), &[]).unwrap_err();
    assert!(matches!(error, JournalError::Exists(_)), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = FileJournal::open::<String>(empty.path()).unwrap_err();
    assert!(matches!(error, JournalError::Missing(_)), "{error}");
}

#[test]
fn what_is_no_journal_of_this_node_is_refused_by_name() {
    let (folder, _) = written(&[&["a"]]);
    // A text of one letter is no boolean.
    let error = FileJournal::open::<bool>(folder.path()).unwrap_err();
    let is_foreign = matches!(error, JournalError::Foreign { position: 0, .. });
    assert!(is_foreign, "{error}");
    fs::write(folder.path().join("journal"), b"dear diary").unwrap();
    let error = FileJournal::open::<String>(folder.path()).unwrap_err();
    assert!(matches!(error, JournalError::NotAJournal(_)), "{error}");
}

/// A disk that takes nothing: every write to this device says that it is full.
#[test]
fn a_full_disk_takes_nothing_and_says_so() {
    let (folder, _) = written(&[&["a"]]);
    let (mut journal, _) = FileJournal::open::<String>(folder.path()).unwrap();
    let whole = std::mem::replace(
        &mut journal.file,
        File::options().write(true).open("/dev/full").unwrap(),
    );
    assert_eq!(journal.commit(&batch(&["b"])), Err(SyncError::Full));
    // A device cannot be cut, so this journal is done for; a file can be.
    assert_eq!(journal.commit(&batch(&["b"])), Err(SyncError::Device));
    (journal.file, journal.broken) = (whole, false);
    journal.commit(&batch(&["c"])).unwrap();
    drop(journal);
    assert_eq!(found(folder.path()), all(&["a", "c"]));
}

/// With appended records, in a file that has taken the place of another one, and in one that was opened again.
#[test]
fn what_is_committed_outlives_a_loss_of_power_and_nothing_is_committed_without() {
    let (folder, _) = written(&[&["a"]]);
    let platter = platter::Platter::under(folder.path(), true);
    let mut rng = splitbrain_core::Seed(1).stream(splitbrain_core::Purpose::Disk);
    // What was not synced, a mark, may be torn.
    let sound = |found: Journal<String>| -> Vec<_> {
        let found = found.into_iter();
        found.filter(|found| *found != Err(Damage::Torn)).collect()
    };
    let mut expected = all(&["a"]);
    for (batch, then) in [
        (batch(&["b"]), &["a", "b"][..]),
        (compaction(&["ab"], &["c"]), &["ab", "c"]),
        (batch(&["d", "e"]), &["ab", "c", "d", "e"]),
    ] {
        let syncs = Syncs::To(platter.clone());
        let (mut journal, found) = FileJournal::open_with(folder.path(), syncs).unwrap();
        assert_eq!(sound(found), expected);
        journal.commit(&batch).unwrap();
        platter.lose_power(&mut rng);
        assert!(journal.commit(&self::batch(&["late"])).is_err());
        assert_eq!(platter.regain_power(), None, "somebody has it");
        drop(journal);
        assert!(platter.regain_power().is_some());
        expected = all(then);
    }
    let (_, found) = FileJournal::open::<String>(folder.path()).unwrap();
    assert_eq!(sound(found), expected);
}
