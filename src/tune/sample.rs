//! Which settings a trial tries: on a grid, at random, or spread evenly; see `tpe` for those that learn.

use crate::config::{Config, Domain, Space};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};

/// Grids of more trials than this are made only where that is asked for.
pub const LARGE_GRID: u128 = 1_000_000;

/// The bases of the Halton sequence: the first primes.
const PRIMES: [u32; 40] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173,
];

/// All combinations of the values of a space, the last parameter changing fastest.
///
/// Where a condition leaves a parameter out, its values make no difference, and one combination stands for all. Combinations
/// are counted, and found by their number, by the tree of conditions; none is gone through for that.
#[derive(Debug, Clone)]
pub struct Grid {
    nodes: Vec<Node>,
    n: u128,
}

/// A parameter of a grid.
#[derive(Debug, Clone)]
struct Node {
    values: Vec<String>,
    /// The parameter that its condition is on, and for each value of that whether it holds.
    beside: Option<(usize, Vec<bool>)>,
    /// Whether it has a condition that never holds.
    never: bool,
    /// The parameters with a condition on this one.
    below: Vec<usize>,
    /// Its values in groups of which each holds the same conditions: one value of each, and how many there are.
    groups: Vec<(usize, u128)>,
    /// The group of each value.
    group_of: Vec<usize>,
}

impl Grid {
    /// The grid of a space; `large` allows one of more than a million trials.
    pub fn new(space: &Space, config: &Config, large: bool) -> Result<Self> {
        let endless = endless(space);
        if !endless.is_empty() {
            let several = endless.len() > 1;
            return Err(Error::setting(
                format!("a grid cannot go through {}", endless.join("; nor through ")),
                format!(
                    "give {} `steps = 5`, or `choices`, or take --sampler random",
                    if several { "each of these ranges" } else { "its range" }
                ),
            ));
        }
        let grid = Self::of(space, config);
        if grid.n > LARGE_GRID && !large {
            let sizes: Vec<String> = space
                .parameters
                .iter()
                .zip(&grid.nodes)
                .map(|(p, node)| format!("{} {}", p.key, node.values.len()))
                .collect();
            let by_conditions = grid.nodes.iter().any(|node| node.never || node.beside.is_some());
            return Err(Error::setting(
                format!(
                    "the grid has {} trials ({}{}); more than a million have to be confirmed",
                    grid.n,
                    sizes.join(" × "),
                    if by_conditions { ", without what their conditions leave out" } else { "" }
                ),
                "--large-grid to run it, fewer values, or --sampler random --trials 200",
            ));
        }
        Ok(grid)
    }

    /// The grid of a space of which all values can be counted up.
    fn of(space: &Space, config: &Config) -> Self {
        let values: Vec<Vec<String>> =
            space.parameters.iter().map(|p| p.domain.values().unwrap_or_default()).collect();
        let mut nodes: Vec<Node> = Vec::with_capacity(values.len());
        for (i, parameter) in space.parameters.iter().enumerate() {
            let (mut beside, mut never) = (None, false);
            if let Some((other, wanted)) = &parameter.only_if {
                match space.parameters.iter().position(|p| p.key == *other) {
                    Some(at) => beside = Some((at, values[at].iter().map(|v| wanted.contains(v)).collect())),
                    None => never = !space.holds(other, wanted, config),
                }
            }
            let values = values[i].clone();
            nodes.push(Node {
                values,
                beside,
                never,
                below: Vec::new(),
                groups: Vec::new(),
                group_of: Vec::new(),
            });
        }
        for i in 0..nodes.len() {
            if let Some((above, _)) = nodes[i].beside {
                nodes[above].below.push(i);
            }
        }
        for i in 0..nodes.len() {
            let mut patterns: Vec<(bool, Vec<bool>)> = Vec::new();
            let (mut groups, mut group_of): (Vec<(usize, u128)>, Vec<usize>) = (Vec::new(), Vec::new());
            for value in 0..nodes[i].values.len() {
                let holds =
                    |&below: &usize| nodes[below].beside.as_ref().is_some_and(|(_, holds)| holds[value]);
                // The first value is apart: it alone stands for what is left out.
                let pattern = (value == 0, nodes[i].below.iter().map(holds).collect());
                let group = patterns.iter().position(|known| *known == pattern).unwrap_or_else(|| {
                    patterns.push(pattern);
                    groups.push((value, 0));
                    groups.len() - 1
                });
                groups[group].1 += 1;
                group_of.push(group);
            }
            (nodes[i].groups, nodes[i].group_of) = (groups, group_of);
        }
        let mut grid = Self { nodes, n: 0 };
        grid.n = grid.ways(&[]);
        grid
    }

    /// How many combinations begin with these values, each the number of one.
    fn ways(&self, begin: &[usize]) -> u128 {
        let tops = self.nodes.iter().enumerate().filter(|(_, node)| node.beside.is_none());
        tops.fold(1, |n: u128, (i, node)| {
            n.saturating_mul(if node.never { self.left_out(i, begin) } else { self.ways_of(i, begin) })
        })
    }

    /// The same of a parameter that is searched and those below it.
    fn ways_of(&self, i: usize, begin: &[usize]) -> u128 {
        let node = &self.nodes[i];
        let below: Vec<[u128; 2]> =
            node.below.iter().map(|&j| [self.left_out(j, begin), self.ways_of(j, begin)]).collect();
        let with = |value: usize| {
            node.below.iter().zip(&below).fold(1, |n: u128, (&j, ways)| {
                let holds = self.nodes[j].beside.as_ref().is_some_and(|(_, holds)| holds[value]);
                n.saturating_mul(ways[usize::from(holds)])
            })
        };
        match begin.get(i) {
            Some(&value) => with(value),
            None => node
                .groups
                .iter()
                .fold(0, |n: u128, &(value, times)| n.saturating_add(with(value).saturating_mul(times))),
        }
    }

    /// The same of a parameter that is left out and those below it: one where the values begun with allow it, else none.
    fn left_out(&self, i: usize, begin: &[usize]) -> u128 {
        let first = begin.get(i).is_none_or(|&value| value == 0);
        u128::from(first && self.nodes[i].below.iter().all(|&j| self.left_out(j, begin) == 1))
    }

    /// How many combinations there are.
    pub fn len(&self) -> u128 {
        self.n
    }

    /// Whether there is none: never, since a space without parameters has one combination of nothing.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The combination of this number: a value for every parameter.
    pub fn get(&self, number: u64) -> Vec<String> {
        let mut before = u128::from(number);
        let mut chosen: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let i = chosen.len();
            let ways: Vec<u128> = node
                .groups
                .iter()
                .map(|&(value, _)| {
                    chosen.push(value);
                    let ways = self.ways(&chosen);
                    chosen.truncate(i);
                    ways
                })
                .collect();
            let mut at = 0;
            // Beyond the last combination, the last value.
            while at + 1 < node.values.len() && before >= ways[node.group_of[at]] {
                before -= ways[node.group_of[at]];
                at += 1;
            }
            chosen.push(at);
        }
        self.nodes.iter().zip(chosen).map(|(node, at)| node.values[at].clone()).collect()
    }
}

/// The ranges of a space that a grid cannot go through, each with the reason.
pub fn endless(space: &Space) -> Vec<String> {
    let without_end = space.parameters.iter().filter(|p| match p.domain {
        Domain::Choices(_) | Domain::Range { steps: Some(_), .. } => false,
        Domain::Range { .. } => p.domain.values().is_none(),
    });
    without_end
        .map(|p| {
            let many = match p.domain {
                Domain::Range { low, high, integer: true, log: false, .. } => {
                    format!("{} values are too many", high - low + 1.0)
                }
                Domain::Range { integer: true, .. } => "how many values it takes of them is not said".into(),
                _ => "there is no end of values".to_owned(),
            };
            format!("{}: from {} {many}", p.key, p.domain.words())
        })
        .collect()
}

/// A value for every parameter, each drawn by itself; a function of seed and number alone.
pub fn random(space: &Space, seed: u64, number: u64) -> Vec<String> {
    let mut stream = Stream::new(seed, Purpose::Search, number as u32);
    space.parameters.iter().map(|parameter| parameter.domain.literal(stream.uniform())).collect()
}

/// A value for every parameter out of a randomised Halton sequence, which covers the space more evenly than chance
/// does; a function of seed and number alone.
///
/// Coordinate j of point i is i in base p, the j-th prime, mirrored at the point, every digit permuted by a random
/// permutation of its own (Owen 2017, "A randomized Halton algorithm in R"). Beyond 40 parameters, chance.
pub fn quasi_random(space: &Space, seed: u64, number: u64) -> Vec<String> {
    let mut beyond = Stream::new(seed, Purpose::Search, number as u32);
    let coordinate = |j: usize, beyond: &mut Stream| match PRIMES.get(j) {
        Some(&base) => halton(number, base, |digit, place| permuted(digit, base, seed, j, place)),
        None => beyond.uniform(),
    };
    let domains = space.parameters.iter().enumerate();
    domains.map(|(j, parameter)| parameter.domain.literal(coordinate(j, &mut beyond))).collect()
}

/// The digits of `number` in `base` behind the point, the least first, each changed by `change`; below 1.
fn halton(mut number: u64, base: u32, change: impl Fn(u32, u32) -> u32) -> f64 {
    let (mut x, mut weight, mut place) = (0.0, 1.0 / f64::from(base), 0);
    // Digits beyond a double's precision change nothing; zeros in front count, since a permutation moves them too.
    while weight > 1e-16 {
        x += weight * f64::from(change((number % u64::from(base)) as u32, place));
        number /= u64::from(base);
        weight /= f64::from(base);
        place += 1;
    }
    f64::min(x, 1.0 - f64::EPSILON)
}

/// Where a random permutation of `0..base`, one for every coordinate and place, takes a digit.
fn permuted(digit: u32, base: u32, seed: u64, coordinate: usize, place: u32) -> u32 {
    let mut stream = Stream::new(seed, Purpose::SearchDigits, coordinate as u32 * 64 + place);
    let mut permutation: Vec<u32> = (0..base).collect();
    stream.shuffle(&mut permutation);
    permutation[digit as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Space {
        Space::from_toml_str(text).unwrap()
    }

    #[test]
    fn a_grid_goes_through_everything_once_the_last_fastest() {
        let space = space("train.epochs = { choices = [1, 2] }\ntrain.batch_size = { low = 8, high = 10 }\n");
        let grid = Grid::new(&space, &Config::default(), false).unwrap();
        let all: Vec<String> = (0..grid.len() as u64).map(|i| grid.get(i).join(" ")).collect();
        assert_eq!(all, ["1 8", "1 9", "1 10", "2 8", "2 9", "2 10"]);
    }

    #[test]
    fn what_a_condition_leaves_out_is_not_gone_through() {
        let space = space(
            "optimizer.name = { choices = ['sgd', 'adam'] }\n\
             optimizer.momentum = { choices = [0.0, 0.9], if = { \"optimizer.name\" = 'sgd' } }\n",
        );
        let grid = Grid::new(&space, &Config::default(), false).unwrap();
        let all: Vec<String> = (0..grid.len() as u64).map(|i| grid.get(i).join(" ")).collect();
        assert_eq!(all, ["\"sgd\" 0.0", "\"sgd\" 0.9", "\"adam\" 0.0"]);
    }

    /// By going through every combination, which a grid does not.
    fn gone_through(space: &Space, config: &Config) -> Vec<String> {
        let values: Vec<Vec<String>> = space.parameters.iter().map(|p| p.domain.values().unwrap()).collect();
        let mut all: Vec<Vec<String>> = vec![Vec::new()];
        for of_parameter in &values {
            let with = |begin: Vec<String>| {
                of_parameter
                    .iter()
                    .map(move |value| [&begin[..], std::slice::from_ref(value)].concat())
                    .collect::<Vec<_>>()
            };
            all = all.into_iter().flat_map(with).collect();
        }
        // Of combinations that differ in what is left out alone, the first.
        all.retain(|combination| {
            let active = space.active(combination, config);
            (0..combination.len()).all(|i| active[i] || combination[i] == values[i][0])
        });
        all.into_iter().map(|combination| combination.join(" ")).collect()
    }

    #[test]
    fn grids_are_counted_and_ordered_as_if_they_were_gone_through() {
        let name = "optimizer.name = { choices = ['sgd', 'adam', 'lion'] }\n";
        let batch = |condition: &str| format!("train.batch_size = {{ low = 8, high = 11{condition} }}\n");
        let epochs = |condition: &str| format!("train.epochs = {{ choices = [3, 2, 1]{condition} }}\n");
        let dropout = |condition: &str| format!("network.dropout = {{ choices = [0, 0.1]{condition} }}\n");
        let on_name = |names: &str| format!(", if = {{ \"optimizer.name\" = {names} }}");
        let (on_batch, on_epochs) =
            (", if = { \"train.batch_size\" = [8, 10] }", ", if = { \"train.epochs\" = 2 }");
        let config = Config::default();
        for text in [
            String::new(),
            name.to_owned() + &batch("") + &epochs(""),
            name.to_owned() + &batch(&on_name("'sgd'")) + &epochs(&on_name("['adam', 'lion']")),
            // What decides comes later, in a chain, and there is more below it.
            batch(&on_name("'adam'")) + name + &epochs(""),
            epochs(on_batch) + &batch(&on_name("['lion', 'adam']")) + &dropout(on_epochs) + name,
            dropout(on_epochs) + &epochs(on_batch) + name + &batch(&on_name("'sgd'")),
            name.to_owned() + &batch(&on_name("'sgd'")) + &epochs(on_batch) + &dropout(on_batch),
            // Of settings that are not searched, one that does not hold and one that does.
            batch(&on_name("'sgd'")) + &epochs(on_batch),
            batch(&on_name("'adamw'")) + &epochs(on_batch),
            // A value that no trial has beside one that some have.
            name.to_owned() + &batch(&on_name("['sgd', 'muon']")),
        ] {
            let space = space(&text);
            let grid = Grid::new(&space, &config, false).unwrap();
            let all: Vec<String> = (0..grid.len() as u64).map(|i| grid.get(i).join(" ")).collect();
            assert_eq!(all, gone_through(&space, &config), "{text}");
        }
    }

    #[test]
    fn what_conditions_leave_out_is_not_counted() {
        let config = Config::default();
        let range = |key: &str, high: u32, condition: &str| {
            format!("{key} = {{ low = 1, high = {high}{condition} }}\n")
        };
        let condition = ", if = { \"network.dropout\" = 0.1 }";
        let dropout = "network.dropout = { choices = [0, 0.1] }\n";
        let large = |text: &str| Grid::new(&space(text), &config, false);
        // 1 + 1000 · 999 of 2 · 1000 · 999.
        let some = dropout.to_owned()
            + &range("train.epochs", 1000, condition)
            + &range("train.batch_size", 999, condition);
        let grid = large(&some).unwrap();
        assert_eq!(grid.len(), 999_001);
        assert_eq!([0, 1, 999_000].map(|i| grid.get(i).join(" ")), ["0.0 1 1", "0.1 1 1", "0.1 1000 999"]);
        let more = dropout.to_owned()
            + &range("train.epochs", 2000, condition)
            + &range("train.batch_size", 999, condition);
        let message = large(&more).unwrap_err().to_string();
        assert!(message.contains("the grid has 1998001 trials (network.dropout 2 × train.epochs 2000 × train.batch_size 999, without what their conditions leave out)"), "{message}");
        // Far more than could be gone through.
        let many: String =
            ["train.epochs", "train.batch_size", "early_stopping.patience", "reduce_on_plateau.patience"]
                .map(|key| range(key, 1000, condition))
                .concat();
        let grid = Grid::new(&space(&(dropout.to_owned() + &many)), &config, true).unwrap();
        assert_eq!(grid.len(), 1 + 1_000_u128.pow(4));
        assert_eq!(grid.get(1_000_000_000_000).join(" "), "0.1 1000 1000 1000 1000");
    }

    #[test]
    fn grids_without_end_or_sense_are_refused() {
        let endless = space("optimizer.learning_rate = { low = 0.1, high = 0.2 }");
        let message = Grid::new(&endless, &Config::default(), false).unwrap_err().to_string();
        assert!(message.contains("optimizer.learning_rate") && message.contains("steps = 5"), "{message}");
        let range = |key: &str| format!("{key} = {{ low = 1, high = 1001 }}\n");
        let several = space(
            "optimizer.learning_rate = { low = 0.1, high = 0.2 }\nnetwork.dropout = { low = 0, high = 0.2 }\n\
             train.batch_size = { low = 8, high = 64, log = true }\ntrain.epochs = { low = 3, high = 9 }\n",
        );
        let message = Grid::new(&several, &Config::default(), false).unwrap_err().to_string();
        for key in
            ["optimizer.learning_rate: from 0.1 to 0.2", "network.dropout: from", "train.batch_size: from"]
        {
            assert!(message.contains(key) && !message.contains("train.epochs"), "{message}");
        }
        let wide = space("train.batch_size = { low = 1, high = 100000000 }");
        let message = Grid::new(&wide, &Config::default(), false).unwrap_err().to_string();
        assert!(message.contains("from 1 to 100000000 100000000 values are too many"), "{message}");
        let large = space(&(range("train.epochs") + &range("train.batch_size")));
        let message = Grid::new(&large, &Config::default(), false).unwrap_err().to_string();
        assert!(message.contains("1002001 trials") && message.contains("--large-grid"), "{message}");
        assert_eq!(Grid::new(&large, &Config::default(), true).unwrap().len(), 1_002_001);
    }

    #[test]
    fn plain_halton_points_are_the_radical_inverses() {
        let same = |digit: u32, _: u32| digit;
        let points: Vec<f64> = (0..5).map(|i| halton(i, 2, same)).collect();
        assert_eq!(points, [0.0, 0.5, 0.25, 0.75, 0.125]);
        assert!((halton(5, 3, same) - 7.0 / 9.0).abs() < 1e-15);
    }

    #[test]
    fn points_and_their_permuted_digits_are_those_of_scipy() {
        let golden = include_str!("../../tests/golden/halton.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let number = |name: &str, i: usize, j: usize| golden[name][i][j].as_f64().unwrap();
        for (j, base) in golden["bases"].as_array().unwrap().iter().enumerate() {
            let base = base.as_u64().unwrap() as u32;
            assert_eq!(base, PRIMES[j]);
            let of_base = &golden["permutations"][j];
            let permuted = |digit: u32, place: u32| {
                let digits = &of_base[place as usize];
                // Beyond SciPy's last place nothing that a double shows is left.
                digits.get(digit as usize).map_or(0, |digit| digit.as_u64().unwrap() as u32)
            };
            for i in 0..40 {
                let [plain, mixed] =
                    [halton(i as u64, base, |digit, _| digit), halton(i as u64, base, permuted)];
                assert!((plain - number("plain", i, j)).abs() < 1e-15, "point {i}, base {base}");
                assert!((mixed - number("mixed", i, j)).abs() < 1e-14, "mixed point {i}, base {base}");
            }
        }
    }

    #[test]
    fn halton_points_cover_more_evenly_than_chance() {
        // Of 4×9 cells, powers of the two bases, 36 points fill each once; chance leaves 1/e of them empty.
        let space = space(
            "optimizer.learning_rate = { low = 0.0001, high = 1.0 }\nnetwork.dropout = { low = 0.0, high = 0.9 }\n",
        );
        let filled = |draw: &dyn Fn(u64) -> Vec<String>| {
            let cell = |i: u64| -> [usize; 2] {
                let values = draw(i);
                let at =
                    |j: usize, n: f64| (n * space.parameters[j].domain.place(&values[j]).unwrap()) as usize;
                [at(0, 4.0), at(1, 9.0)]
            };
            (0..36).map(cell).collect::<std::collections::HashSet<_>>().len()
        };
        for seed in 0..5 {
            let even = filled(&|i| quasi_random(&space, seed, i));
            let chance = filled(&|i| random(&space, seed, i));
            assert!(even == 36 && chance < 32, "seed {seed}: {even} and {chance} of 36 cells");
        }
    }

    /// The order of a grid and the first settings of every sampler, as they have always been: a study goes on with them.
    ///
    /// `tests/golden/sequences.txt` is this programme's own; where a sampler is changed on purpose, the text that the
    /// failure prints takes its place, and studies begun before go on otherwise.
    #[test]
    fn sequences_are_those_on_record() {
        use super::super::tpe::{Observation, suggest};

        let space = space(
            "optimizer.name = { choices = ['sgd', 'adam', 'lion'] }\n\
             optimizer.momentum = { low = 0.0, high = 0.9, steps = 2, if = { \"optimizer.name\" = 'sgd' } }\n\
             train.batch_size = { low = 8, high = 10 }\n\
             optimizer.learning_rate = { low = 1e-4, high = 1e-1, log = true, steps = 4 }\n",
        );
        let open = Space::from_toml_str(
            "optimizer.name = { choices = ['sgd', 'adam', 'lion'] }\n\
             optimizer.momentum = { low = 0.0, high = 0.9, if = { \"optimizer.name\" = 'sgd' } }\n\
             train.batch_size = { low = 8, high = 256, log = true }\n\
             optimizer.learning_rate = { low = 1e-4, high = 1e-1, log = true }\n",
        )
        .unwrap();
        let config = Config::default();
        let grid = Grid::new(&space, &config, false).unwrap();
        let mut text = String::new();
        let mut write = |what: &str, number: u64, values: &[String]| {
            text += &format!("{what} {number}: {}\n", values.join(" "));
        };
        (0..grid.len() as u64).for_each(|i| write("grid", i, &grid.get(i)));
        (0..12).for_each(|i| write("random", i, &random(&open, 5, i)));
        (0..12).for_each(|i| write("quasi_random", i, &quasi_random(&open, 5, i)));
        let mut past: Vec<Observation> = Vec::new();
        for number in 0..30 {
            let values = suggest(&open, &config, &past, 5, number);
            let active = open.active(&values, &config);
            let places: Vec<Option<f64>> = (0..values.len())
                .map(|i| active[i].then(|| open.parameters[i].domain.place(&values[i])).flatten())
                .collect();
            let of = |i: usize| places[i].unwrap_or(0.5);
            let value = (of(0) - 1.0).abs() + (of(1) - 0.3).abs() + (of(2) - 0.2).abs() + (of(3) - 0.6).abs();
            write("tpe", number, &values);
            past.push(Observation { places, value });
        }
        let golden = include_str!("../../tests/golden/sequences.txt");
        assert!(text == golden, "the sequences are now:\n{text}");
    }

    #[test]
    fn draws_are_functions_of_seed_and_number() {
        let space = space("optimizer.learning_rate = { low = 0.0001, high = 1.0, log = true }\n");
        for draw in [random, quasi_random] {
            assert_eq!(draw(&space, 1, 7), draw(&space, 1, 7));
            assert_ne!(draw(&space, 1, 7), draw(&space, 1, 8));
            assert_ne!(draw(&space, 1, 7), draw(&space, 2, 7));
        }
    }
}
