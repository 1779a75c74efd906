package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Rows of a table: table [v, h] by ids (i64, any shape) gives [..., h]. */
public record Embedding() implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          Embedding.class,
          Example.of(new Embedding(), Example.f32(5, 4), Example.indices(5, 2, 3)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.rank(this, inputs, 0, 2);
    Check.dtype(this, inputs, 1, d -> d == DataType.I64, "i64 ids");
    TensorType ids = inputs.get(1);
    return List.of(
        inputs.getFirst().with(ids.shape().insert(ids.rank(), inputs.getFirst().size(1))));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> ids = Factors.named("d", inputs.get(1).rank());
    var rows = new ArrayList<>(ids);
    rows.add(List.of("h"));
    return new Factors(
        List.of(List.of(List.of("v"), List.of("h")), ids),
        List.of(rows),
        Map.of("v", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return new Cost(0, 2.0 * infer(inputs).getFirst().bytes() + inputs.get(1).bytes());
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    long rows = inputs.get(1).elements();
    return List.of(
        Kernel.of(
            "aten::index_select.out(x0, 0, view(x1, [%d]), view(y0, [%d,%d]))"
                .formatted(rows, rows, inputs.getFirst().size(1))));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor table = adjoint.input(0);
    long rows = adjoint.input(1).shape().elements();
    long width = table.size(1);
    Tensor index = adjoint.input(1).reshape(rows).broadcast(Shape.of(rows, width), List.of(0));
    return Arrays.asList(
        Tensor.one(
            new ScatterAdd(0), table.filled(0), index, adjoint.cotangent().reshape(rows, width)),
        null);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal table = inputs.get(0);
    int width = (int) table.type().size(1);
    TensorType type = infer(List.of(table.type(), inputs.get(1).type())).getFirst();
    long[] ids = inputs.get(1).longs();
    for (long id : ids) {
      if (id < 0 || id >= table.type().size(0)) {
        throw new UserException(
            "embedding: id " + id + " is outside of 0 to " + (table.type().size(0) - 1));
      }
    }
    return List.of(
        Gathering.pick(table, type.shape(), i -> (int) ids[i / width] * width + i % width));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return factor.equals("v");
  }

  /** Rows that lie in the part's table; zeros for the others. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor table = inputs.get(0);
    Tensor ids = inputs.get(1);
    Local local = Local.of(part, ids);
    Tensor rows = table.embedding(local.index());
    var dims = new ArrayList<Integer>();
    for (int dim = 0; dim < ids.rank(); dim++) {
      dims.add(dim);
    }
    return List.of(
        Tensor.where(local.inside().broadcast(rows.shape(), dims), rows, rows.filled(0)));
  }

  @Override
  public Optional<Folding> outstanding(String factor, int output, List<TensorType> inputs) {
    return Optional.of(Folding.SUM);
  }

  /**
   * Indices into a whole dim as a part of it sees them.
   *
   * @param index into the part, 0 where it lies elsewhere
   * @param inside whether it lies in the part
   */
  record Local(Tensor index, Tensor inside) {
    static Local of(Part part, Tensor indices) {
      Tensor shifted = indices.minus(part.start());
      Tensor inside =
          Tensor.one(new LogicalAnd(), shifted.greaterOrEqual(0), indices.less(part.end()));
      return new Local(Tensor.where(inside, shifted, shifted.filled(0)), inside);
    }
  }
}
