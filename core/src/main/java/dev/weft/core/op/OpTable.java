package dev.weft.core.op;

import dev.weft.core.graph.Op;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** All ops by name. To add an op is to add its file, and its line here. */
public final class OpTable {
  /** The ops of Weft. */
  public static final List<OpEntry> ENTRIES =
      List.of(
          Abs.ENTRY,
          Adamw.ENTRY,
          Add.ENTRY,
          ArgMax.ENTRY,
          Attention.ENTRY,
          AttentionGradient.ENTRY,
          AveragePool.ENTRY,
          AveragePoolGradient.ENTRY,
          BatchNorm.ENTRY,
          BatchNormGradient.ENTRY,
          BitwiseAnd.ENTRY,
          BitwiseNot.ENTRY,
          BitwiseOr.ENTRY,
          BitwiseXor.ENTRY,
          Broadcast.ENTRY,
          CachedAttention.ENTRY,
          Cast.ENTRY,
          Concat.ENTRY,
          Constant.ENTRY,
          Convolution.ENTRY,
          ConvolutionFilterGradient.ENTRY,
          ConvolutionInputGradient.ENTRY,
          Cosine.ENTRY,
          CrossEntropy.ENTRY,
          Cumsum.ENTRY,
          Divide.ENTRY,
          Dropout.ENTRY,
          DynamicSlice.ENTRY,
          DynamicUpdateSlice.ENTRY,
          Einsum.ENTRY,
          Embedding.ENTRY,
          Equal.ENTRY,
          Erf.ENTRY,
          Exp.ENTRY,
          Gather.ENTRY,
          Gelu.ENTRY,
          GeluGradient.ENTRY,
          GlobalNorm.ENTRY,
          Greater.ENTRY,
          GreaterEqual.ENTRY,
          GroupNorm.ENTRY,
          GroupNormGradient.ENTRY,
          Iota.ENTRY,
          LayerNorm.ENTRY,
          LayerNormGradient.ENTRY,
          Less.ENTRY,
          LessEqual.ENTRY,
          LinearCrossEntropy.ENTRY,
          LinearCrossEntropyWithGradient.ENTRY,
          Log.ENTRY,
          LogSoftmax.ENTRY,
          LogicalAnd.ENTRY,
          LogicalNot.ENTRY,
          LogicalOr.ENTRY,
          LogicalXor.ENTRY,
          Matmul.ENTRY,
          Max.ENTRY,
          MaxPool.ENTRY,
          MaxPoolGradient.ENTRY,
          Maximum.ENTRY,
          Mean.ENTRY,
          Min.ENTRY,
          Minimum.ENTRY,
          Multiply.ENTRY,
          Negate.ENTRY,
          NotEqual.ENTRY,
          OneHot.ENTRY,
          Pad.ENTRY,
          Power.ENTRY,
          RandomBits.ENTRY,
          Relu.ENTRY,
          Reshape.ENTRY,
          Rsqrt.ENTRY,
          ScatterAdd.ENTRY,
          Sgd.ENTRY,
          Shard.ENTRY,
          ShiftLeft.ENTRY,
          ShiftRight.ENTRY,
          Sigmoid.ENTRY,
          Sine.ENTRY,
          Slice.ENTRY,
          Softmax.ENTRY,
          SoftmaxGradient.ENTRY,
          Sort.ENTRY,
          Sqrt.ENTRY,
          Subtract.ENTRY,
          Sum.ENTRY,
          SumSquares.ENTRY,
          Tanh.ENTRY,
          TopK.ENTRY,
          Transpose.ENTRY,
          Upsample.ENTRY,
          UpsampleGradient.ENTRY,
          Where.ENTRY);

  /** The ops of Weft and the repeat, which the passes treat on their own. */
  public static final OpTable STANDARD = new OpTable(ENTRIES);

  private final Map<String, Class<? extends Op>> types = new LinkedHashMap<>();

  /** A table of the given ops and the repeat, for reading graphs that use a user's own ops. */
  public OpTable(List<OpEntry> entries) {
    for (OpEntry entry : entries) {
      if (types.put(entry.name(), entry.type()) != null) {
        throw new IllegalArgumentException("two ops named " + entry.name());
      }
    }
    types.put("repeat", Repeat.class);
  }

  /** This table and some ops more, under the names of their classes. */
  public OpTable with(List<Class<? extends Op>> more) {
    var all = new OpTable(List.of());
    all.types.putAll(types);
    for (Class<? extends Op> type : more) {
      if (all.types.put(Op.nameOf(type), type) != null) {
        throw new IllegalArgumentException("two ops named " + Op.nameOf(type));
      }
    }
    return all;
  }

  /** The record of the op of that name. */
  public Optional<Class<? extends Op>> find(String name) {
    return Optional.ofNullable(types.get(name));
  }

  /** All names, for suggestions in errors. */
  public List<String> names() {
    return List.copyOf(types.keySet());
  }
}
