package dev.weft.nn.layer;

import dev.weft.core.graph.DataType;
import dev.weft.core.op.Attention;
import dev.weft.core.op.BatchNorm;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.Dropout;
import dev.weft.core.op.GroupNorm;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.MaxPool;
import dev.weft.core.op.Philox;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Tensor;
import dev.weft.core.op.Upsample;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** Layers: functions of a scope, which names their parameters, and their input. */
public final class Layers {
  /** What layer normalisation adds to the variance. */
  public static final double EPSILON = 1e-5;

  private Layers() {}

  /** {@code x [..., h]} times {@code weight [h, out]} plus {@code bias [out]}. */
  public static Tensor linear(Scope m, Tensor x, long out, Initializer weight) {
    Tensor w = m.parameter("weight", weight, x.size(-1), out);
    Tensor b = m.parameter("bias", Initializer.zeros(), out);
    return x.cast(w.dtype()).matmul(w).plus(b);
  }

  /**
   * The same, split over a mesh.
   *
   * @param rows the mesh axes that split {@code h}, or {@link dev.weft.core.cluster.DimSpec#WHOLE}
   * @param columns the mesh axes that split {@code out}
   */
  public static Tensor linear(
      Scope m, Tensor x, long out, Initializer weight, Object rows, Object columns) {
    Tensor w = m.parameter("weight", weight, x.size(-1), out).shard(rows, columns);
    Tensor b = m.parameter("bias", Initializer.zeros(), out).shard(columns);
    return x.cast(w.dtype()).matmul(w).plus(b);
  }

  /** Normalises the last dim, then scales by {@code weight} and shifts by {@code bias}. */
  public static Tensor layerNorm(Scope m, Tensor x) {
    Tensor scale = m.parameter("weight", Initializer.ones(), x.size(-1));
    Tensor shift = m.parameter("bias", Initializer.zeros(), x.size(-1));
    return Tensor.apply(new LayerNorm(EPSILON), List.of(x, scale, shift)).getFirst();
  }

  /**
   * A convolution of {@code x [n, c, spatial...]} that keeps sizes where the stride is 1 and the
   * window odd: {@code weight [out, c, size...]}, {@code bias [out]}.
   *
   * @param size the taps of the window in every spatial dim
   */
  public static Tensor convolution(Scope m, Tensor x, long out, int size, int stride) {
    Tensor y = unbiasedConvolution(m, x, out, size, stride);
    Tensor bias = m.parameter("bias", Initializer.zeros(), out);
    return y.plus(bias.broadcast(y.shape(), List.of(1)));
  }

  /**
   * The same without a bias, for what is normalised next: the norm would take the bias away. The
   * weights keep the size of activations through a rectifier (He et al., Delving Deep into
   * Rectifiers).
   */
  public static Tensor unbiasedConvolution(Scope m, Tensor x, long out, int size, int stride) {
    int dims = x.rank() - 2;
    long[] shape = new long[x.rank()];
    Arrays.fill(shape, size);
    shape[0] = out;
    shape[1] = x.size(1);
    double inputs = x.size(1) * Math.pow(size, dims);
    Tensor filter = m.parameter("weight", Initializer.normal(Math.sqrt(2 / inputs)), shape);
    var op = Convolution.of(dims, stride, (size - 1) / 2);
    return Tensor.one(op, x.cast(filter.dtype()), filter);
  }

  /**
   * Normalises the channels of {@code x [n, c, spatial...]} over the batch, then scales them by
   * {@code weight} and shifts them by {@code bias} (Ioffe and Szegedy, Batch Normalization). While
   * training by the statistics of the micro-batch, of all its rows wherever they lie; evaluation
   * takes the averages {@code mean} and {@code variance}, which once per step go a tenth of the way
   * to the mean over the step's micro-batches (Huang et al., GPipe, section 2.2). Where one layer
   * is applied several times its averages take as many such steps at once.
   */
  public static Tensor batchNorm(Scope m, Tensor x) {
    long channels = x.size(1);
    Tensor scale = m.parameter("weight", Initializer.ones(), channels);
    Tensor shift = m.parameter("bias", Initializer.zeros(), channels);
    Tensor mean = m.average("mean", Initializer.zeros(), channels);
    Tensor variance = m.average("variance", Initializer.ones(), channels);
    if (m.training()) {
      List<Tensor> inputs = List.of(x, scale, shift, mean, variance);
      return Tensor.apply(new BatchNorm(EPSILON), inputs).getFirst();
    }
    Tensor factor = scale.times(variance.plus(EPSILON).rsqrt());
    Tensor offset = shift.minus(mean.times(factor));
    List<Integer> channel = List.of(1);
    return x.times(factor.broadcast(x.shape(), channel)).plus(offset.broadcast(x.shape(), channel));
  }

  /**
   * Normalises groups of channels of {@code x [n, c, spatial...]}, then scales channels by {@code
   * weight} and shifts them by {@code bias}.
   */
  public static Tensor groupNorm(Scope m, Tensor x, long groups) {
    Tensor scale = m.parameter("weight", Initializer.ones(), x.size(1));
    Tensor shift = m.parameter("bias", Initializer.zeros(), x.size(1));
    return Tensor.apply(new GroupNorm(groups, EPSILON), List.of(x, scale, shift)).getFirst();
  }

  /** The largest of each block of neighbours in the spatial dims of {@code [n, c, spatial...]}. */
  public static Tensor maxPool(Tensor x, int size) {
    return Tensor.apply(MaxPool.of(x.rank() - 2, size, size, 0), List.of(x)).getFirst();
  }

  /** Every element of the spatial dims of {@code [n, c, spatial...]} repeated. */
  public static Tensor upsample(Tensor x, long scale) {
    return Tensor.one(new Upsample(Collections.nCopies(x.rank() - 2, scale)), x);
  }

  /** Scaled dot-product attention of {@code [b, h, s, d]}. */
  public static Tensor attention(Tensor q, Tensor k, Tensor v, boolean causal) {
    double scale = 1 / Math.sqrt(q.size(-1));
    return Tensor.apply(new Attention(causal, scale), List.of(q, k, v)).getFirst();
  }

  /**
   * Zeroes elements at random while training. The bits depend on the scope's name, the layer, the
   * step and the row of the whole batch alone: the facts {@code seed}, {@code step} and {@code
   * row}.
   */
  public static Tensor dropout(Scope m, Tensor x, double rate) {
    if (!m.training() || rate == 0) {
      return x;
    }
    var site = new RandomBits(Philox.site(m.path()), x.shape());
    Tensor bits = Tensor.one(site, m.fact("seed"), m.fact("step"), m.layer(), m.fact("row"));
    return Tensor.one(new Dropout(rate), x, bits);
  }

  /** How many targets count: those that are not the ignored one, an f32 scalar. */
  public static Tensor count(Tensor targets, long ignoreIndex) {
    return targets.notEqualTo(ignoreIndex).cast(DataType.F32).sum();
  }
}
