package dev.weft.core.collective;

import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Orders calls so that what awaits a collective comes behind work that does not, where there is
 * some soon: over the ends of rounds, too, when they are unrolled. Collectives keep their order.
 */
public final class Postponing<T> {
  /** Operations on each element of a result that make a call worth waiting beside. */
  static final double WORK = 16;

  /** How many calls behind something such work is looked for. */
  private static final int REACH = 24;

  /**
   * One step of a program without repeats.
   *
   * @param reads what it needs, compared by identity
   * @param writes what it makes
   * @param work whether it computes much on each element of what it makes
   */
  public record Call<T>(T item, List<?> reads, List<?> writes, boolean collective, boolean work) {}

  private final List<T> ordered = new ArrayList<>();
  private final List<Call<T>> postponed = new ArrayList<>();

  /** What collectives make that nothing has run beside yet. */
  private final Map<Object, Boolean> fresh = new IdentityHashMap<>();

  private Postponing() {}

  /** Whether an op computes much on each element of its results: a product, no sum of a few. */
  public static boolean isWork(Op op, List<TensorType> inputs, List<TensorType> outputs) {
    long elements = outputs.stream().mapToLong(TensorType::elements).sum();
    return !(op instanceof Collective) && op.cost(inputs).flops() > WORK * elements;
  }

  static boolean isWork(Node node) {
    return isWork(
        node.op(), node.inputTypes(), node.outputs().stream().map(v -> v.type()).toList());
  }

  /**
   * The items in another order.
   *
   * @param calls in an order in which everything is made before it is read
   */
  public static <T> List<T> order(List<Call<T>> calls) {
    var postponing = new Postponing<T>();
    calls.forEach(postponing::next);
    postponing.takeUp();
    return postponing.ordered;
  }

  private void next(Call<T> call) {
    boolean depends = call.reads().stream().anyMatch(this::isPostponed);
    boolean waits = call.reads().stream().anyMatch(fresh::containsKey);
    if (!depends && !waits) {
      emit(call);
      if (call.work()) {
        takeUp();
      }
    } else if (call.collective() || postponed.size() == REACH) {
      takeUp();
      emit(call);
    } else {
      postponed.add(call);
    }
  }

  private boolean isPostponed(Object value) {
    return postponed.stream().anyMatch(c -> c.writes().stream().anyMatch(w -> w == value));
  }

  private void emit(Call<T> call) {
    ordered.add(call.item());
    if (call.work()) {
      fresh.clear();
    }
    if (call.collective()) {
      call.writes().forEach(value -> fresh.put(value, true));
    }
  }

  private void takeUp() {
    for (Call<T> call : postponed) {
      emit(call);
    }
    postponed.clear();
  }
}
