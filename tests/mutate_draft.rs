
/// The seeds of the fuzz targets, each with the end of its name.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = std::fs::read_dir(corpus).unwrap().flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect();
    seeds.sort_unstable();
    assert!(seeds.len() > 10);
    seeds
}

#[test]
fn damaged_files_are_read_or_refused_and_never_cause_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 7u64;
    let mut random = move |below: usize| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for (name, seed) in seeds() {
        let path = folder.path().join(&name);
        for _ in 0..150 {
            let mut bytes = seed.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match random(5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at.min(bytes.len()), random(256) as u8),
                    2 => {
                        let more = bytes[at..(at + random(40)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, more);
                    }
                    3 => bytes.iter_mut().skip(at).take(1 + random(8)).for_each(|byte| *byte = 0xff),
                    _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random(256) as u8),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(raw) = read_table(std::slice::from_ref(&path), &ReadOptions::default())
                && let Ok(schema) = statera::data::infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new())
            {
                let table = statera::data::Table::from_raw(&raw, &schema).unwrap();
                assert!(table.notes().is_empty(), "{name}: {:?}", table.notes());
            }
        }
    }
}
