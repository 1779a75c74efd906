package dev.weft.runtime.cluster;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Attention;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Tensor;
import dev.weft.core.simulate.OpCosts;
import dev.weft.engine.program.Noise;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;

/** The ops that stand for all of their classes in a profile, each at several sizes. */
final class ProfiledOps {
  private static final int ROW = 256;
  private static final int CHAIN = 3;

  /** Tells only what takes time at all. */
  private static final DeviceProfile ANY =
      new DeviceProfile(Bytes.of(1), Map.of("f32", 1.0, "bf16", 1.0, "f64", 1.0), 1, 0, Map.of());

  private ProfiledOps() {}

  /** A graph of ops of one class and size, alike in what they take. */
  @FunctionalInterface
  private interface Subject {
    List<Tensor> of(Builder builder, DataType dtype, long size);
  }

  /**
   * A class of ops.
   *
   * @param name as in the curves of a {@link DeviceProfile}
   * @param arithmetic whether its ops are bound by operations; else by bytes
   */
  record Kind(String name, boolean arithmetic, List<Long> sizes, Subject subject) {
    /** The ops at a size. */
    Sample sample(DataType dtype, long size) {
      var builder = new Builder(name);
      for (Tensor result : subject.of(builder, dtype, size)) {
        builder.output(result.value());
      }
      Graph graph = builder.build();
      Map<Node, Double> seconds = OpCosts.seconds(graph, ANY);
      List<Node> calls = graph.nodes().stream().filter(seconds::containsKey).toList();
      return new Sample(this, graph, OpCosts.work(calls.getFirst()), calls.size());
    }
  }

  /**
   * Ops of one class and size.
   *
   * @param work operations or bytes of each
   * @param calls how many ops there are
   */
  record Sample(Kind kind, Graph graph, double work, int calls) {}

  static final List<Kind> ALL =
      List.of(
          new Kind("matmul", true, List.of(32L, 64L, 128L, 256L, 512L), ProfiledOps::products),
          new Kind(
              "attention",
              true,
              List.of(32L, 96L, 256L),
              (b, t, n) -> {
                Tensor keys = input(b, "k", t, 4, 4, n, 64);
                Tensor values = input(b, "v", t, 4, 4, n, 64);
                return chain(
                    input(b, "q", t, 4, 4, n, 64),
                    q -> Tensor.apply(new Attention(true, 0.125), List.of(q, keys, values)));
              }),
          new Kind(
              "convolution",
              true,
              List.of(8L, 24L, 64L),
              (b, t, n) -> {
                Tensor filter = input(b, "w", t, 16, 16, 3, 3);
                return chain(
                    input(b, "x", t, 4, 16, n, n),
                    x -> List.of(Tensor.one(Convolution.of(2, 1, 1), x, filter)));
              }),
          new Kind(
              DeviceProfile.OTHERS,
              false,
              List.of(1L << 12, 1L << 16, 1L << 20, 1L << 22),
              (b, t, n) -> {
                Tensor factor = input(b, "y", t, n);
                return chain(input(b, "x", t, n), x -> List.of(x.times(factor)));
              }),
          new Kind(
              "rearrangement",
              false,
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) ->
                  chain(
                      input(b, "x", t, n / ROW, ROW),
                      x ->
                          List.of(
                              x.reshape(2, 4, n / 512, 64)
                                  .transpose(List.of(0, 2, 1, 3))
                                  .reshape(n / ROW, ROW)))),
          new Kind(
              "reduction",
              false,
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) -> {
                Tensor x = input(b, "x", t, n);
                return Stream.of(1, 2, 4)
                    .map(rows -> x.reshape(n / ROW / rows, rows * ROW).sum(List.of(0)))
                    .toList();
              }),
          new Kind(
              "transcendental",
              false,
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) -> chain(input(b, "x", t, n), x -> List.of(x.gelu(Gelu.Form.TANH)))),
          new Kind(
              "row-wise",
              false,
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, t, n) -> {
                DataType wide = t == DataType.F64 ? t : DataType.F32;
                Tensor scale = input(b, "s", wide, ROW);
                Tensor shift = input(b, "h", wide, ROW);
                return chain(
                    input(b, "x", t, n / ROW, ROW),
                    x -> Tensor.apply(new LayerNorm(1e-5), List.of(x, scale, shift)));
              }),
          new Kind(
              "lookup",
              false,
              List.of(1L << 4, 1L << 8, 1L << 12),
              (b, t, n) ->
                  List.of(
                      input(b, "table", t, Noise.ROWS, 256)
                          .embedding(input(b, "ids", DataType.I64, n)))),
          new Kind(
              "random",
              false,
              List.of(1L << 12, 1L << 16, 1L << 20),
              (b, _, n) ->
                  List.of(
                      Tensor.one(
                          new RandomBits(7, Shape.of(n)),
                          input(b, "seed", DataType.I64),
                          input(b, "step", DataType.I64),
                          input(b, "layer", DataType.I64),
                          input(b, "row", DataType.I64)))));

  /**
   * What a linear layer takes: its result, and the gradients of its input and of its weight. What
   * one makes the next reads, from a cache where it holds it; weights and what was kept come from
   * memory.
   */
  private static List<Tensor> products(Builder builder, DataType dtype, long size) {
    List<Integer> swapped = List.of(1, 0);
    Tensor x = input(builder, "x", dtype, size, size);
    Tensor w = input(builder, "w", dtype, size, 4 * size);
    Tensor weight = input(builder, "v", dtype, size, 4 * size);
    Tensor kept = input(builder, "t", dtype, size, size);
    Tensor made = x.matmul(w);
    return List.of(made.matmul(weight.transpose(swapped)), kept.transpose(swapped).matmul(made));
  }

  /**
   * An op on what it made before, again and again: as in a model, operands mostly come from a cache
   * that holds them.
   *
   * @param op its first result goes on
   */
  private static List<Tensor> chain(Tensor first, Function<Tensor, List<Tensor>> op) {
    Tensor x = first;
    for (int i = 0; i < CHAIN; i++) {
      x = op.apply(x).getFirst();
    }
    return List.of(x);
  }

  /** Calls that do next to nothing, one after the other. */
  static Graph chain(int calls) {
    var builder = new Builder("calls");
    Tensor x = input(builder, "x", DataType.F32, 1);
    for (int i = 0; i < calls; i++) {
      x = x.sin();
    }
    builder.output(x.value());
    return builder.build();
  }

  static Tensor input(Builder builder, String name, DataType dtype, long... sizes) {
    return new Tensor(builder, builder.input(name, TensorType.of(dtype, sizes), Graph.Kind.DATA));
  }
}
