//! Differentiable operations that candle has only in pieces or only forwards, each in one pass.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// Rotary position embedding of `(batch, heads, positions, width)` with neighbouring pairs, as
/// llama files expect it; positions count from 0.
pub struct Rotary {
    base: f32,
    /// 1 turns forwards; -1 turns back, which is the derivative.
    direction: f32,
}

impl Rotary {
    /// With the given frequency base.
    pub fn new(base: f32) -> Self {
        Self { base, direction: 1.0 }
    }
}

impl CustomOp1 for Rotary {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let source = contiguous(storage, layout)?;
        let (_, _, positions, width) = layout.shape().dims4()?;
        let half = width / 2;
        let mut table = Vec::with_capacity(positions * half);
        for position in 0..positions {
            for pair in 0..half {
                let frequency = 1.0 / self.base.powf(2.0 * pair as f32 / width as f32);
                let angle = position as f32 * frequency;
                table.push((angle.cos(), angle.sin() * self.direction));
            }
        }
        let mut turned = Vec::with_capacity(source.len());
        for head in source.chunks_exact(positions * width) {
            for (pair, (cos, sin)) in head.chunks_exact(2).zip(&table) {
                turned.push(pair[0] * cos - pair[1] * sin);
                turned.push(pair[0] * sin + pair[1] * cos);
            }
        }
        Ok((CpuStorage::F32(turned), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { base: self.base, direction: -self.direction };
        gradient.contiguous()?.apply_op1_no_bwd(&back).map(Some)
    }
}

/// Softmax over the last dimension of square scores, where position `i` sees positions `0..=i`,
/// after multiplying with a scale.
pub struct CausalSoftmax {
    pub scale: f32,
}

impl CustomOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let source = contiguous(storage, layout)?;
        let (_, _, positions, _) = layout.shape().dims4()?;
        let mut shares = vec![0f32; source.len()];
        let rows = source.chunks_exact(positions).zip(shares.chunks_exact_mut(positions));
        for (at, (scores, shares)) in rows.enumerate() {
            let seen = at % positions + 1;
            let highest = scores[..seen].iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            let mut total = 0.0;
            for (share, score) in shares[..seen].iter_mut().zip(scores) {
                *share = ((score - highest) * self.scale).exp();
                total += *share;
            }
            shares[..seen].iter_mut().for_each(|share| *share /= total);
        }
        Ok((CpuStorage::F32(shares), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, shares: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = SoftmaxGradient { scale: self.scale };
        shares.apply_op2_no_bwd(&gradient.contiguous()?, &back).map(Some)
    }
}

struct SoftmaxGradient {
    scale: f32,
}

impl CustomOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        shares: &CpuStorage,
        shares_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shares = contiguous(shares, shares_layout)?;
        let gradient = contiguous(gradient, gradient_layout)?;
        let (_, _, _, columns) = shares_layout.shape().dims4()?;
        let mut passed = Vec::with_capacity(shares.len());
        for (shares, gradient) in shares.chunks_exact(columns).zip(gradient.chunks_exact(columns)) {
            let mean: f32 = shares.iter().zip(gradient).map(|(s, g)| s * g).sum();
            let row = shares.iter().zip(gradient);
            passed.extend(row.map(|(s, g)| s * (g - mean) * self.scale));
        }
        Ok((CpuStorage::F32(passed), shares_layout.shape().clone()))
    }
}

/// Root-mean-square normalisation of rows, without the learned factor.
pub struct Normalise {
    pub epsilon: f32,
}

impl CustomOp1 for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let source = contiguous(storage, layout)?;
        let (_, width) = layout.shape().dims2()?;
        let mut normal = Vec::with_capacity(source.len());
        for row in source.chunks_exact(width) {
            let factor = inverse_root_mean_square(row, self.epsilon);
            normal.extend(row.iter().map(|x| x * factor));
        }
        Ok((CpuStorage::F32(normal), layout.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = NormaliseGradient { epsilon: self.epsilon };
        input.apply_op2_no_bwd(&gradient.contiguous()?, &back).map(Some)
    }
}

struct NormaliseGradient {
    epsilon: f32,
}

impl CustomOp2 for NormaliseGradient {
    fn name(&self) -> &'static str {
        "normalise-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input = contiguous(input, input_layout)?;
        let gradient = contiguous(gradient, gradient_layout)?;
        let (_, width) = input_layout.shape().dims2()?;
        let mut passed = Vec::with_capacity(input.len());
        for (row, gradient) in input.chunks_exact(width).zip(gradient.chunks_exact(width)) {
            let factor = inverse_root_mean_square(row, self.epsilon);
            let along: f32 = row.iter().zip(gradient).map(|(x, g)| x * g).sum();
            let pull = along * factor * factor / width as f32;
            let pairs = row.iter().zip(gradient);
            passed.extend(pairs.map(|(x, g)| factor * (g - x * pull)));
        }
        Ok((CpuStorage::F32(passed), input_layout.shape().clone()))
    }
}

fn inverse_root_mean_square(row: &[f32], epsilon: f32) -> f32 {
    let squares: f32 = row.iter().map(|x| x * x).sum();
    1.0 / (squares / row.len() as f32 + epsilon).sqrt()
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("this operation wants a contiguous tensor") };
    Ok(&storage.as_slice::<f32>()?[from..to])
}
