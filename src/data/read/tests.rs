use std::path::Path;

use super::*;

fn parse(bytes: impl AsRef<[u8]>) -> Result<RawTable> {
    parse_csv(bytes.as_ref(), Path::new("t.csv"), &ReadOptions::default())
}

fn failure(bytes: impl AsRef<[u8]>) -> String {
    parse(bytes).expect_err("this file is broken").to_string()
}

#[test]
fn cells_keep_their_text_and_rows_their_lines() {
    let table = parse("\u{feff}\n a ,b\r\n1,\" x \"\"y\"\"\n z\"\r\n\r\n\n NA ,\r\n-,é").unwrap();
    assert_eq!(table.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.n_rows(), 3);
    assert_eq!(table.value(0, 1), Some("x \"y\"\n z"));
    assert_eq!(table.values(0).collect::<Vec<_>>(), [Some("1"), None, None]);
    assert_eq!(table.values(1).collect::<Vec<_>>(), [Some("x \"y\"\n z"), None, Some("é")]);
    assert_eq!((0..3).map(|row| table.line(row).unwrap()).collect::<Vec<_>>(), [3, 7, 8]);
    assert_eq!(table.place(1, 0), "row 2 (line 7), column `a`");
    assert_eq!(table.column_index("b"), Some(1));
}

#[test]
fn lines_are_counted_alike_under_both_line_ends() {
    let text = "a\n1\n\n2\n\"x\ny\"\n3\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let table = parse(&text).unwrap();
        assert_eq!((0..4).map(|row| table.line(row).unwrap()).collect::<Vec<_>>(), [2, 4, 5, 7], "{text:?}");
    }
}

#[test]
fn the_sum_is_that_of_the_whole_file() {
    let table = parse("a\n1\n").unwrap();
    assert_eq!(table.sha256, "309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc");
}

#[test]
fn broken_files_say_where_and_what_to_do() {
    let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked: Vec<u8> = [&b"\xff\xfe"[..], &utf16].concat();
    let cases: [(&[u8], &[&str]); 16] = [
        (b"", &["t.csv is empty"]),
        (b" \r\n", &["t.csv is empty"]),
        (b"a,b\n", &["header of 2 columns and no rows"]),
        (&utf16, &["UTF-16", "iconv -f UTF-16 -t UTF-8 t.csv"]),
        (&marked, &["UTF-16"]),
        (b"a,b\n1,caf\xe9\n", &["line 2, byte 10 of the file is 0xe9", "iconv -f LATIN1"]),
        (b"a,b\n1,x\0\n", &["line 2, byte 8 of the file is zero"]),
        (b"a,b\n1,2\n1,2,3\n", &["row 2 (line 3): expected 2 fields, found 3", "double quotes"]),
        (b"a,b\r\n1,2\r\n\r\n1\r\n", &["row 2 (line 4): expected 2 fields, found 1"]),
        (b"a,b\n\"1\n2\",3,4\n", &["row 1 (line 2)", "a quoted cell runs on to line 3"]),
        (b"a,b\n1,\"2\n3,4\n", &["opens on line 2, character 3, is not closed"]),
        (b"a,b\n1,2\n\"3\n5,6\n", &["opens on line 3, character 1, is not closed"]),
        (b"a,\"b\n1,2\n", &["opens on line 1, character 3, is not closed"]),
        (b"a, ,c\n1,2,3\n", &["line 1: column 2 of 3 has no name"]),
        (b"a,b, a\n1,2,3\n", &["columns 1 and 3 are both named `a`"]),
        (b"a;b\n1;2;3\n", &["row 1 (line 2): expected 2 fields, found 3"]),
    ];
    for (bytes, words) in cases {
        let message = failure(bytes);
        for word in words {
            assert!(message.contains(word), "{message}\n  lacks: {word}");
        }
    }
    assert!(failure(b"PARE....").contains("encrypted Parquet"));
}

#[test]
fn quotes_that_close_are_not_complained_of() {
    for text in ["a\n\"x\"", "a\n\"x\"\"\"\n", "a\nx\"y\n", "a\n\"\"\n", "a\n\"x\"y\"\n"] {
        assert!(parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn paths_that_cannot_be_read_say_what_may_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReadOptions::default();
    std::fs::write(folder.path().join("insurance.csv"), "a\n1\n").unwrap();
    let failure = |name: &str| read_table(&[folder.path().join(name)], &options).unwrap_err().to_string();
    let message = failure("insurence.csv");
    assert!(message.contains("no such file") && message.contains("insurance.csv?"), "{message}");
    assert!(failure("zzz").contains("the tables in"));
    assert!(failure("no/such.csv").contains("does not exist"));
    assert_eq!(read_table(&[folder.path().to_owned()], &options).unwrap().n_rows(), 1);
    assert_eq!(read_table(&[folder.path().join("insurance.csv")], &options).unwrap().n_rows(), 1);
}

#[test]
fn ten_thousand_columns_are_read() {
    let names: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
    let row = vec!["1"; 10_000].join(",");
    let table = parse(format!("{}\n{row}\n{row}\n", names.join(","))).unwrap();
    assert_eq!((table.n_columns(), table.n_rows()), (10_000, 2));
    assert_eq!(table.value(1, 9_999), Some("1"));
}

/// A table as text, each value of each row.
fn listed_cells(table: &RawTable) -> Vec<Vec<Option<String>>> {
    let row = |row| (0..table.n_columns()).map(|c| table.value(row, c).map(str::to_owned)).collect();
    (0..table.n_rows()).map(row).collect()
}

#[test]
fn pieces_of_any_size_make_the_same_table() {
    let mut text = String::from("id,word,\"free text\",x\r\n");
    for i in 0..400 {
        let word = ["red", "green", " blue ", "NA"][i % 4];
        text += &format!("{i},{word},\"line {i}\nsays \"\"hello, {i}\"\"\",{}.5\r\n", i * 7 % 13);
    }
    let dialect = |input: &Input| {
        dialect::detect(input.sample(), input.is_whole(), false, dialect::Wanted::default()).0
    };
    let expected = parse(&text).unwrap();
    assert_eq!(expected.value(7, 2), Some("line 7\nsays \"hello, 7\""));
    for size in [1, 7, 100, 1_000, 1 << 20] {
        let input = Input::of_bytes(Path::new("t.csv"), text.as_bytes(), Sha256::new()).unwrap();
        let dialect = dialect(&input);
        let mut cutter = cut::Cutter::new(input, dialect).with_pieces_of(size);
        let mut whole = Vec::new();
        let mut line = 1;
        while let Some(piece) = cutter.next().unwrap() {
            assert_eq!(piece.line, line, "{size}");
            assert!(piece.bytes.ends_with(b"\n"));
            line += piece.bytes.iter().filter(|&&b| b == b'\n').count() as u64;
            whole.extend(piece.bytes);
        }
        assert_eq!(whole, text.as_bytes(), "{size}");
    }
    // More rows than one piece holds.
    let long: String = std::iter::once("a,b,c\n".to_owned())
        .chain((0..300_000).map(|i| format!("{},w{},{}\n", i % 1_000, i % 7, i * 3)))
        .collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| parse(&long).unwrap())
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(listed_cells(&one), listed_cells(&three));
    assert_eq!(one.sha256, three.sha256);
    assert_eq!(one.value(299_999, 2), Some("899997"));
    assert_eq!(one.line(299_999), Some(300_001));
    assert_eq!(one.numbers(2).map(|numbers| numbers[299_999]), Some(899_997.0));
    assert_eq!(one.codes(1).map(|(codes, levels)| (codes.len(), levels.len())), Some((300_000, 7)));
    let broken = format!("{long}1,2\n");
    assert!(
        failure(&broken).contains("row 300001 (line 300002): expected 3 fields, found 2"),
        "{}",
        failure(&broken)
    );
}

/// Pieces of a file may tell different things of a column: that it is blank, of numbers, of few words or of many.
#[test]
fn columns_keep_their_texts_whatever_their_pieces_are() {
    const N: usize = 300_000;
    let cell = |row: usize, column: usize| match (column, row < N / 2) {
        (0, false) => format!("{:03}", row % 1_000),
        (1, true) => format!("{}.0", row % 10),
        (1 | 2, false) | (4, true) => format!("w{}", row % 3),
        (3, true) => format!("few{}", row % 5),
        (3, false) => format!("many{row}"),
        (5, _) => format!("{row:08}"),
        _ => String::new(),
    };
    let mut text = "a,b,c,d,e,f\n".to_owned();
    for row in 0..N {
        let cells: Vec<String> = (0..6).map(|column| cell(row, column)).collect();
        text += &(cells.join(",") + "\n");
    }
    let table = parse(&text).unwrap();
    assert!(text.len() > 6 << 20 && table.n_rows() == N);
    for column in 0..6 {
        for (row, found) in table.values(column).enumerate() {
            let expected = cell(row, column);
            assert_eq!(found.unwrap_or_default(), expected, "row {row}, column {column}");
            assert_eq!(found.is_none(), expected.is_empty());
            assert_eq!(table.value_alone(row, column).as_deref(), found);
        }
    }
    assert_eq!(table.numbers(0).map(|numbers| (numbers[0].is_nan(), numbers[N - 1])), Some((true, 999.0)));
    assert!(table.numbers(1).is_none() && table.codes(1).is_none());
    assert!([2, 4].iter().all(|&column| table.codes(column).is_some_and(|(_, levels)| levels.len() == 3)));
    assert!(table.codes(3).is_none());
}

#[test]
fn delimiters_quotes_and_decimal_commas_are_detected() {
    for (text, value, reading) in [
        ("a;b\n1,5;x\n2,25;y\n", "1,5", Some("`;` between cells, a comma before decimals")),
        ("a\tb\n1.5\tx, y\n2\tz\n", "1.5", Some("tabs between cells")),
        ("a|b|c\n1|2|x,y\n", "1", Some("`|` between cells")),
        ("'a','b'\n'1','x,y'\n", "1", Some("`'` around cells")),
        ("a,b\n1,'tis\n", "1", None),
        ("a\n5\n6\n", "5", None),
        ("a;b\n1,234;x\n", "1,234", Some("`;` between cells, a comma before decimals")),
        ("a\tb\n1,234\tx\n", "1,234", Some("tabs between cells")),
    ] {
        let table = parse(text).unwrap();
        assert_eq!(table.value(0, 0), Some(value), "{text:?}");
        assert_eq!(table.reading.as_deref(), reading, "{text:?}");
    }
    assert_eq!(parse("a;b\n1,5;2\n-0,25;3\n").unwrap().numbers(0), Some(&[1.5, -0.25][..]));
    let forced = ReadOptions { delimiter: Some(b','), ..ReadOptions::default() };
    assert_eq!(parse_csv(b"a;b\n1;2\n", Path::new("t.csv"), &forced).unwrap().n_columns(), 1);
}

/// A file without a header is read as one whose first row is the names: said, and what to type.
#[test]
fn a_header_of_numbers_only_is_doubted() {
    let doubt = |text: &str| parse(text).unwrap().skipped.doubt;
    let words = doubt("7;3,5;1\n4;3,0;2\n").unwrap();
    assert!(
        words.starts_with("the header of t.csv is numbers only, `7`, `3,5`, `1`; if that is a row"),
        "{words}"
    );
    assert!(doubt("5.1,3\n4.9,3\n").unwrap().ends_with("(echo c1,c2; cat t.csv) > named.csv"));
    assert!(doubt("5.1,a\n4.9,3\n").is_none() && doubt("x\n4\n").is_none());
}

#[test]
fn malformed_rows_are_left_out_and_listed_if_asked_for() {
    let options = ReadOptions { bad_rows: BadRows::Skip, ..ReadOptions::default() };
    let text = b"a,b\n1,2\n3\n4,5,6\n7,8\n9,caf\xe9\n10,11\n";
    let table = parse_csv(text, Path::new("t.csv"), &options).unwrap();
    assert_eq!(table.numbers(0), Some(&[1.0, 7.0, 10.0][..]));
    assert_eq!(table.line(2), Some(7));
    assert_eq!(table.skipped.count, 3);
    assert_eq!(
        table.skipped.to_csv(),
        "file,line,what\n\"t.csv\",3,\"expected 2 fields, found 1\"\n\"t.csv\",4,\"expected 2 fields, found 3\"\n\
         \"t.csv\",6,\"a byte that is not of UTF-8, or zero\"\n"
    );
    let none = parse_csv(b"a,b\n1\n", Path::new("t.csv"), &options).unwrap_err().to_string();
    assert!(none.contains("no row of 2 columns: 1 malformed row left out"), "{none}");
}

#[test]
fn packed_files_are_unpacked_as_they_are_read() {
    use std::io::Write as _;
    let text = "a,b\n1,x\n2,y\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for packed in [gzip.clone(), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
        assert_eq!(listed_cells(&parse(&packed).unwrap()), listed_cells(&parse(text).unwrap()));
    }
    let message = failure(&gzip[..gzip.len() - 9]);
    assert!(
        message.contains("packed by gzip and damaged or cut short") && message.contains("gzip --test"),
        "{message}"
    );
}
