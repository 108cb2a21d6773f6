use super::*;

fn plan(temperature: f64) -> SamplingPlan {
    SamplingPlan { seed: Some(5), ..SamplingPlan::new(&Sampling::default(), temperature, 1.0) }
}

fn sampler(plan: SamplingPlan) -> Sampler {
    Sampler::new(plan, &[], None)
}

#[test]
fn temperature_zero_takes_the_first_of_the_likeliest() {
    assert_eq!(sampler(plan(0.0)).choose(&mut [0.5, 2.0, 2.0, f32::NAN]), Some(1));
    assert_eq!(sampler(SamplingPlan { top_k: 1, ..plan(1.0) }).choose(&mut [0.5, 2.0, 2.0]), Some(1));
}

#[test]
fn equal_seeds_choose_equally_and_chance_follows_the_weights() {
    let plans = [
        plan(1.0),
        SamplingPlan { top_k: 2, ..plan(1.0) },
        SamplingPlan { top_p: 0.999, ..plan(1.0) },
        SamplingPlan { min_p: 0.1, ..plan(1.0) },
    ];
    for plan in plans {
        let draw = || {
            let mut sampler = sampler(plan.clone());
            let draws = (0..4000).map(|_| sampler.choose(&mut [1.0_f32.ln(), -30.0, 3.0_f32.ln()]).unwrap());
            draws.collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        let twos = draw().iter().filter(|&&token| token == 2).count();
        assert!((2850..3150).contains(&twos), "{twos} of 4000, expected about 3000: {plan:?}");
    }
}

#[test]
fn temperature_flattens_and_sharpens() {
    let count = |temperature| {
        let mut sampler = sampler(plan(temperature));
        (0..4000).filter(|_| sampler.choose(&mut [1.0_f32.ln(), 3.0_f32.ln()]) == Some(1)).count()
    };
    // 3^(1/T) against 1.
    assert!((3530..3670).contains(&count(0.5)), "{} of 4000, expected about 3600", count(0.5));
    assert!((2400..2680).contains(&count(2.0)), "{} of 4000, expected about 2536", count(2.0));
}

#[test]
fn bias_and_penalties_change_what_is_likeliest() {
    let biased = SamplingPlan { logit_bias: vec![(0, 3.0), (99, 1.0)], ..plan(0.0) };
    assert_eq!(sampler(biased).choose(&mut [0.0, 1.0, 2.0]), Some(0));
    let penalties = Penalties { presence: 1.5, ..Penalties::NONE };
    let mut sampler = sampler(SamplingPlan { penalties, ..plan(0.0) });
    assert_eq!(sampler.choose(&mut [0.0, 1.0, 2.0]), Some(2));
    assert!(sampler.accept(2));
    assert_eq!(sampler.choose(&mut [0.0, 1.0, 2.0]), Some(1));
}

#[test]
fn logits_that_are_not_numbers_choose_nothing() {
    for temperature in [0.0, 1.0] {
        for logits in [&mut [f32::NAN, f32::NAN][..], &mut [f32::NEG_INFINITY], &mut [f32::INFINITY, 1.0], &mut []] {
            assert_eq!(sampler(plan(temperature)).choose(logits), None, "{logits:?}");
        }
    }
}

#[test]
fn what_is_impossible_is_never_drawn() {
    let mut logits = vec![f32::NEG_INFINITY; 3 * 256];
    logits[300] = 1.0;
    let mut sampler = sampler(plan(1.0));
    for _ in 0..50 {
        assert_eq!(sampler.choose(&mut logits.clone()), Some(300));
    }
}

#[test]
fn a_prompt_that_says_nothing_gets_the_operators_settings() {
    let plan = SamplingPlan::new(&Sampling::default(), 0.7, 0.95);
    assert_eq!((plan.temperature, plan.top_p, plan.top_k, plan.min_p), (0.7, 0.95, 0, 0.0));
    assert_eq!((plan.penalties, plan.seed), (Penalties::NONE, None));
    let asked = Sampling { temperature: Some(0.1), top_p: Some(0.2), top_k: Some(3), ..Sampling::default() };
    let plan = SamplingPlan::new(&asked, 0.7, 0.95);
    assert_eq!((plan.temperature, plan.top_p, plan.top_k), (0.1, 0.2, 3));
}

#[test]
fn samplers_and_grammars_can_go_to_another_thread() {
    fn goes<T: Send>() {}
    goes::<Sampler>();
    goes::<Grammars>();
}
