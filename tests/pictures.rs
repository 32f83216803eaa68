//! `statera inspect --svg`: what is drawn is what is measured.

use crate::cli;
use cli::{call, folder, quick};

/// The numbers of an attribute of the elements that hold `mark`, in order.
fn attributes(svg: &str, mark: &str, attribute: &str) -> Vec<f64> {
    let start = format!(" {attribute}=\"");
    let of = |line: &str| line.split(&start).nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
    svg.lines().filter(|line| line.contains(mark)).filter_map(of).collect()
}

/// The last y of each drawn line, from the last start to the first, panel by panel.
fn ends(svg: &str) -> Vec<f64> {
    let lines = svg.lines().filter(|line| line.contains("stroke-linejoin"));
    lines.map(|line| line.split(['"']).nth(1).unwrap().rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_start_that_vanishes_is_drawn_into_the_shade_and_a_sound_one_is_not() {
    let folder = folder();
    let layers = "network.hidden=[64,64,64,64,64,64,64,64,64,64]";
    let args = ["inspect", "--init", "t.csv", "--target", "y", "--set", layers, "--set"];
    let sets = [
        "network.activation=sigmoid",
        "--set",
        "network.initializer=normal",
        "--svg",
        "start.svg",
        "--initializers",
    ];
    call(folder.path(), &[&args[..], &sets, &["xavier_uniform"]].concat()).done();
    let svg = std::fs::read_to_string(folder.path().join("start.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    for name in ["as set", "xavier_uniform", "20", "vanishing"] {
        assert!(svg.contains(&format!(">{name}</text>")), "{name}: {svg}");
    }
    // Three panels of two lines, the first start on top of the others and so last.
    let [_, _, xavier, normal, _, _] = ends(&svg)[..] else { panic!("{svg}") };
    let shade = attributes(&svg, "#ffebe9", "y");
    assert!(xavier < shade[0] && normal >= shade[0], "{xavier} {normal} {shade:?}");
}

#[test]
fn a_start_that_explodes_is_drawn_at_the_upper_edge_and_many_names_keep_within_the_width() {
    let folder = folder();
    let hidden = format!("network.hidden={:?}", [32; 50]);
    let args = ["inspect", "--init", "t.csv", "--target", "y", "--set", &hidden, "--svg", "start.svg"];
    let names = "he_normal,xavier_normal,he_uniform,xavier_uniform,lecun_normal,lecun_uniform,orthogonal,lsuv,normal,uniform";
    let sets = ["--set", "network.initializer={name='normal', std=10.0}", "--initializers", names];
    call(folder.path(), &[&args[..], &sets].concat()).done();
    let svg = std::fs::read_to_string(folder.path().join("start.svg")).unwrap();
    assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("d=\"\""), "{svg}");
    assert!(svg.contains(">exploding</text>") && svg.contains(">≥ 1e12</text>"), "{svg}");
    // The last drawn start is the one as set; its outputs end at the top.
    assert_eq!(ends(&svg)[10], 118.0);
    assert!(attributes(&svg, "</text>", "x").iter().all(|x| *x < 980.0), "{svg}");
    assert!(svg.contains("viewBox=\"0 0 980 440\""), "{}", &svg[..200]);
}

#[test]
fn what_is_no_svg_by_its_name_is_refused() {
    let folder = folder();
    let args = ["inspect", "--init", "t.csv", "--target", "y", "--svg", "x.png"];
    let told = call(folder.path(), &args);
    assert!(told.code == 2 && told.err.contains("--svg x.svg"), "{}", told.err);
}

#[test]
fn units_that_no_longer_learn_are_bars_of_their_share() {
    let folder = folder();
    // A bias far below zero leaves all units of the one hidden layer without a slope.
    let sets =
        ["--set", "network.hidden=[8]", "--set", "network.bias_initializer={name='constant', value=-1e6}"];
    call(
        folder.path(),
        &quick("t.csv", "y", &[&sets[..], &["--set", "network.norm=none", "--out", "run"]].concat()),
    )
    .done();
    call(folder.path(), &["inspect", "run", "--svg", "layers.svg"]).done();
    let svg = std::fs::read_to_string(folder.path().join("layers.svg")).unwrap();
    assert!(svg.contains("<title>8 of 8 dead</title>"), "{svg}");
    assert_eq!(attributes(&svg, "8 of 8 dead", "height"), [250.0]);
}

#[test]
fn without_rows_there_is_nothing_to_draw() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done();
    let model = folder.path().join("run/model.safetensors");
    std::fs::copy(model, folder.path().join("alone.safetensors")).unwrap();
    let told = call(folder.path(), &["inspect", "alone.safetensors", "--svg", "x.svg"]);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("statera inspect MODEL DATA --svg FILE"), "{}", told.err);
    assert!(!folder.path().join("x.svg").exists());
}
