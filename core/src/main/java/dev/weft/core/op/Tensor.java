package dev.weft.core.op;

import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.List;

/**
 * A value of a graph under construction, with the ops as methods: what models, gradients and
 * expansions are written with. Arithmetic repeats the smaller operand along leading dims and dims
 * of size 1, as in NumPy.
 */
public record Tensor(Builder builder, Value value) {

  /** Applies an op. Values of enclosing graphs may be used in a nested one. */
  public static List<Tensor> apply(Op op, List<Tensor> inputs) {
    Builder deepest = inputs.getFirst().builder;
    for (Tensor input : inputs) {
      if (input.builder.depth() > deepest.depth()) {
        deepest = input.builder;
      }
    }
    Builder builder = deepest;
    return builder.add(op, inputs.stream().map(Tensor::value).toList()).stream()
        .map(v -> new Tensor(builder, v))
        .toList();
  }

  /** Applies an op of one output. */
  public static Tensor one(Op op, Tensor... inputs) {
    return apply(op, List.of(inputs)).getFirst();
  }

  /** A constant scalar. */
  public static Tensor constant(Builder builder, DataType dtype, double number) {
    Literal literal =
        Literal.scalar(dtype, dtype.isFloat() ? Rounding.round(dtype, number) : number);
    return new Tensor(builder, builder.add(new Constant(literal), List.of()).getFirst());
  }

  public TensorType type() {
    return value.type();
  }

  public DataType dtype() {
    return value.dtype();
  }

  public Shape shape() {
    return value.shape();
  }

  public int rank() {
    return value.type().rank();
  }

  /** The size of a dim; a negative dim counts from the end. */
  public long size(int dim) {
    return value.shape().size(dim);
  }

  // Arithmetic

  public Tensor plus(Tensor other) {
    return binary(new Add(), other);
  }

  public Tensor plus(double number) {
    return plus(scalar(number));
  }

  public Tensor minus(Tensor other) {
    return binary(new Subtract(), other);
  }

  public Tensor minus(double number) {
    return minus(scalar(number));
  }

  public Tensor times(Tensor other) {
    return binary(new Multiply(), other);
  }

  public Tensor times(double number) {
    return times(scalar(number));
  }

  public Tensor dividedBy(Tensor other) {
    return binary(new Divide(), other);
  }

  public Tensor dividedBy(double number) {
    return dividedBy(scalar(number));
  }

  public Tensor negate() {
    return one(new Negate(), this);
  }

  public Tensor exp() {
    return one(new Exp(), this);
  }

  public Tensor log() {
    return one(new Log(), this);
  }

  public Tensor sqrt() {
    return one(new Sqrt(), this);
  }

  public Tensor rsqrt() {
    return one(new Rsqrt(), this);
  }

  public Tensor tanh() {
    return one(new Tanh(), this);
  }

  public Tensor erf() {
    return one(new Erf(), this);
  }

  public Tensor sin() {
    return one(new Sine(), this);
  }

  public Tensor cos() {
    return one(new Cosine(), this);
  }

  public Tensor sigmoid() {
    return one(new Sigmoid(), this);
  }

  public Tensor relu() {
    return one(new Relu(), this);
  }

  public Tensor gelu(Gelu.Form form) {
    return one(new Gelu(form), this);
  }

  public Tensor softmax(int dim) {
    return one(new Softmax(shape().normalize(dim)), this);
  }

  // Comparisons and choice

  public Tensor equalTo(Tensor other) {
    return binary(new Equal(), other);
  }

  public Tensor notEqualTo(double number) {
    return binary(new NotEqual(), scalar(number));
  }

  public Tensor greater(Tensor other) {
    return binary(new Greater(), other);
  }

  public Tensor greater(double number) {
    return greater(scalar(number));
  }

  public Tensor less(Tensor other) {
    return binary(new Less(), other);
  }

  public Tensor less(double number) {
    return less(scalar(number));
  }

  public Tensor greaterOrEqual(Tensor other) {
    return binary(new GreaterEqual(), other);
  }

  public Tensor greaterOrEqual(double number) {
    return greaterOrEqual(scalar(number));
  }

  /** Elements of {@code a} where the condition is true, of {@code b} elsewhere. */
  public static Tensor where(Tensor condition, Tensor a, Tensor b) {
    return one(new Where(), condition, a, b);
  }

  /** A constant scalar of this tensor's data type. */
  public Tensor scalar(double number) {
    return constant(builder, dtype(), number);
  }

  /** A tensor of this one's type with one number everywhere. */
  public Tensor filled(double number) {
    return scalar(number).broadcast(shape(), List.of());
  }

  // Sharding

  /**
   * This tensor, split over a mesh as said: for each dim the name of a mesh axis, several names
   * like {@code "x,y"}, {@link dev.weft.core.cluster.DimSpec#WHOLE} or {@link
   * dev.weft.core.cluster.DimSpec#OPEN}. An axis that the mesh lacks has size 1.
   *
   * @throws UserException if an axis is used twice, the dims are not as many as this tensor's, or
   *     something else stands there; names the tensor and the line of the model
   */
  public Tensor shard(Object... dims) {
    try {
      Spec spec = Spec.from(dims);
      Shard.requireRank(spec, type());
      return one(new Shard(spec), this);
    } catch (UserException e) {
      String line = builder.source();
      throw new UserException(
          value + ": " + e.getMessage() + (line.isEmpty() ? "" : " (" + line + ")"), e);
    }
  }

  // Types and shapes

  public Tensor cast(DataType to) {
    return to == dtype() ? this : one(new Cast(to), this);
  }

  public Tensor reshape(long... sizes) {
    return reshape(Shape.of(sizes));
  }

  public Tensor reshape(Shape target) {
    return target.equals(shape()) ? this : one(new Reshape(target), this);
  }

  /** Dim i of the result is dim {@code permutation[i]} of this one. */
  public Tensor transpose(List<Integer> permutation) {
    return one(new Transpose(permutation), this);
  }

  /** The last two dims exchanged. */
  public Tensor transposed() {
    var permutation = new ArrayList<Integer>();
    for (int dim = 0; dim < rank(); dim++) {
      permutation.add(dim);
    }
    permutation.set(rank() - 1, rank() - 2);
    permutation.set(rank() - 2, rank() - 1);
    return transpose(permutation);
  }

  /** Repeated along new dims; {@code dims} says which dim of the result each dim becomes. */
  public Tensor broadcast(Shape target, List<Integer> dims) {
    return target.equals(shape()) ? this : one(new Broadcast(target, dims), this);
  }

  /** Repeated to a shape: dims are matched from the last one, sizes 1 are repeated. */
  public Tensor broadcastTo(Shape target) {
    if (target.equals(shape())) {
      return this;
    }
    int shift = target.rank() - rank();
    var kept = new ArrayList<Integer>();
    var dims = new ArrayList<Integer>();
    for (int dim = 0; dim < rank(); dim++) {
      if (shift + dim >= 0 && size(dim) == target.size(shift + dim)) {
        kept.add(dim);
        dims.add(shift + dim);
      } else if (shift < 0 || size(dim) != 1) {
        throw new ShapeException(
            "broadcast: " + type() + " does not fit " + target + " (dims match from the last one)");
      }
    }
    long[] sizes = kept.stream().mapToLong(this::size).toArray();
    return reshape(sizes).broadcast(target, dims);
  }

  /** The indices {@code from} (inclusive) to {@code to} (exclusive) of a dim. */
  public Tensor slice(int dim, long from, long to) {
    int cut = shape().normalize(dim);
    if (from == 0 && to == size(cut)) {
      return this;
    }
    var starts = new ArrayList<Long>();
    var limits = new ArrayList<Long>();
    var strides = new ArrayList<Long>();
    for (int d = 0; d < rank(); d++) {
      starts.add(d == cut ? from : 0);
      limits.add(d == cut ? to : size(d));
      strides.add(1L);
    }
    return one(new Slice(starts, limits, strides), this);
  }

  /** One index of the first dim, which goes away. */
  public Tensor at(long index) {
    return slice(0, index, index + 1).reshape(shape().without(0));
  }

  /**
   * A number added around: so many elements before and behind each dim; negative ones take elements
   * away.
   */
  public Tensor pad(long[] low, long[] high, double number) {
    if (java.util.Arrays.stream(low).allMatch(n -> n == 0)
        && java.util.Arrays.stream(high).allMatch(n -> n == 0)) {
      return this;
    }
    return one(
        new Pad(
            java.util.Arrays.stream(low).boxed().toList(),
            java.util.Arrays.stream(high).boxed().toList(),
            java.util.Collections.nCopies(rank(), 0L),
            number),
        this);
  }

  /** Dims renamed, regrouped and reordered; see {@link Rearrangement}. */
  public Tensor rearrange(String pattern, long... sizes) {
    return Rearrangement.of(pattern).apply(this, sizes);
  }

  /** A result of folding {@code dim} of {@code whole} away, repeated along it again. */
  public Tensor alongside(Tensor whole, int dim) {
    var kept = new ArrayList<Integer>();
    for (int d = 0; d < whole.rank(); d++) {
      if (d != dim) {
        kept.add(d);
      }
    }
    return broadcast(whole.shape(), kept);
  }

  /** Whole numbers counting from 0 along a dim. */
  public static Tensor iota(Builder builder, TensorType type, int dim) {
    return new Tensor(builder, builder.add(new Iota(type, dim), List.of()).getFirst());
  }

  /** Tensors joined along a dim. */
  public static Tensor concat(int dim, List<Tensor> parts) {
    return apply(new Concat(dim), parts).getFirst();
  }

  /** Rows of this table [v, h] by ids of any shape. */
  public Tensor embedding(Tensor ids) {
    return one(new Embedding(), this, ids);
  }

  // Reductions and products

  public Tensor mean(List<Integer> dims) {
    return one(new Mean(dims), this);
  }

  public Tensor max(List<Integer> dims) {
    return one(new Max(dims), this);
  }

  /** A sum of products over named dims: {@code einsum("bik,bkj->bij", a, b)}. */
  public static Tensor einsum(String equation, Tensor... operands) {
    return one(new Einsum(equation), operands);
  }

  public Tensor sum(List<Integer> dims) {
    return dims.isEmpty() ? this : one(new Sum(dims), this);
  }

  /** The sum over all dims. */
  public Tensor sum() {
    return sum(allDims());
  }

  public Tensor matmul(Tensor other) {
    return one(new Matmul(), this, other);
  }

  private List<Integer> allDims() {
    var dims = new ArrayList<Integer>();
    for (int dim = 0; dim < rank(); dim++) {
      dims.add(dim);
    }
    return dims;
  }

  /** Applies an op of two operands after repeating each to the shape of both. */
  private Tensor binary(Op op, Tensor other) {
    if (shape().equals(other.shape())) {
      return one(op, this, other);
    }
    int rank = Math.max(rank(), other.rank());
    long[] sizes = new long[rank];
    for (int dim = 1; dim <= rank; dim++) {
      long mine = dim <= rank() ? size(-dim) : 1;
      long theirs = dim <= other.rank() ? other.size(-dim) : 1;
      if (mine != theirs && mine != 1 && theirs != 1) {
        throw new ShapeException(
            op.name()
                + ": shapes "
                + type()
                + " and "
                + other.type()
                + " do not fit at dim -"
                + dim);
      }
      sizes[rank - dim] = mine == 1 ? theirs : mine;
    }
    Shape target = Shape.of(sizes);
    return one(op, broadcastTo(target), other.broadcastTo(target));
  }

  @Override
  public String toString() {
    return value.toString();
  }
}
