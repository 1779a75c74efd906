package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Rows of zeros with a one where the id (i64) points: ids of any shape give [..., depth]. An id
 * outside of 0 to depth - 1 gives a row of zeros.
 *
 * @param depth how long rows are
 * @param dtype their type
 */
public record OneHot(long depth, DataType dtype) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          OneHot.class,
          Example.of(new OneHot(5, DataType.F32), Example.indices(5, 3, 2)),
          Example.of(
              new OneHot(4, DataType.I64), Example.in(-2, 6, TensorType.of(DataType.I64, 7))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d == DataType.I64, "i64 ids");
    Check.require(depth >= 0, this, inputs, "the depth must not be negative");
    Shape ids = inputs.getFirst().shape();
    return List.of(new TensorType(dtype, ids.insert(ids.rank(), depth)));
  }

  /** A part of a row would have to know which: it is expanded to counting along the row. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> ids = Factors.named("d", inputs.getFirst().rank());
    var rows = new ArrayList<>(ids);
    rows.add(List.of("e"));
    return new Factors(List.of(ids), List.of(rows), Map.of("e", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    List<TensorType> outputs = infer(inputs);
    return Cost.streaming(outputs.getFirst().elements(), inputs, outputs);
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor ids = inputs.getFirst();
    var dims = new ArrayList<Integer>();
    for (int dim = 0; dim < ids.rank(); dim++) {
      dims.add(dim);
    }
    Shape rows = ids.shape().insert(ids.rank(), depth);
    Tensor places = Tensor.iota(ids.builder(), new TensorType(DataType.I64, rows), ids.rank());
    return List.of(places.equalTo(ids.broadcast(rows, dims)).cast(dtype));
  }
}
