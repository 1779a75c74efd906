package dev.weft.core.simulate;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Constant;
import dev.weft.core.program.Action;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Order;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The program of an order without a model: each piece takes one number from the piece before it,
 * and a cotangent from the piece after it. Every micro-batch has memory of its own, so that none
 * waits for any.
 */
public final class EqualStages {
  private static final TensorType NUMBER = TensorType.scalar(DataType.F32);

  private final Order order;
  private final int stage;
  private final List<List<Integer>> slots;
  private final List<Buffer> buffers = new ArrayList<>();
  private final Map<String, Integer> names = new HashMap<>();
  private final List<Fragment> fragments = new ArrayList<>();
  private final Map<Action, Integer> fragmentNumbers = new HashMap<>();
  private final List<Step> steps = new ArrayList<>();

  private EqualStages(Order order, int stage, List<List<Integer>> slots) {
    this.order = order;
    this.stage = stage;
    this.slots = slots;
  }

  /** The program of an order, one device per stage. */
  public static Program program(Order order) {
    List<List<Integer>> slots =
        IntStream.range(0, order.microBatches()).mapToObj(List::of).toList();
    List<StageProgram> stages =
        IntStream.range(0, order.stages().size())
            .mapToObj(stage -> new EqualStages(order, stage, slots).build())
            .toList();
    return new Program("train", order.microBatches(), stages);
  }

  private StageProgram build() {
    // Where a recompute has awaited the cotangent, the backward need not receive it again.
    var received = new HashMap<Action, Integer>();
    for (Action action : order.stages().get(stage)) {
      int piece = action.chunk() * stages() + stage;
      switch (action.work()) {
        case FORWARD -> {
          run(action, arrival("h." + (piece - 1), piece - 1, action));
          departure("h." + piece, piece + 1, action);
        }
        case RECOMPUTE -> {
          if (order.inline().get(stage).contains(action)) {
            List<Integer> awaits = arrival(cotangent(piece), piece + 1, action);
            awaits.forEach(
                step ->
                    received.put(
                        new Action(Work.RECOMPUTE, action.microBatch(), action.chunk()), step));
            run(action, awaits);
          } else {
            run(action, List.of());
          }
        }
        case BACKWARD, INPUT_GRADIENT -> {
          Integer early =
              received.remove(new Action(Work.RECOMPUTE, action.microBatch(), action.chunk()));
          run(
              action,
              early == null ? arrival(cotangent(piece), piece + 1, action) : List.of(early));
          departure(cotangent(piece - 1), piece - 1, action);
        }
        case WEIGHT_GRADIENT -> run(action, List.of());
        case MICRO_BATCH, STEP -> throw new IllegalStateException("an order has neither");
      }
    }
    return new StageProgram(
        stage,
        Mesh.SINGLE,
        List.of(new Pool("flow", order.microBatches(), false)),
        buffers,
        fragments,
        steps);
  }

  private int stages() {
    return order.stages().size();
  }

  /** The cotangent of what a piece sends on. */
  private static String cotangent(int piece) {
    return "h." + piece + ".grad." + (piece + 1);
  }

  /** Whether there is such a piece, on another stage. */
  private boolean isElsewhere(int piece) {
    return piece >= 0 && piece < stages() * order.chunks() && piece % stages() != stage;
  }

  private int buffer(String name) {
    return names.computeIfAbsent(
        name,
        _ -> {
          buffers.add(new Buffer(name, NUMBER, Layout.whole(0), NUMBER, Graph.Kind.STATE, 0));
          return buffers.size() - 1;
        });
  }

  /** Receives a value; gives the steps to be awaited for it. */
  private List<Integer> arrival(String name, int from, Action action) {
    if (!isElsewhere(from)) {
      return List.of();
    }
    steps.add(
        new Step.Receive(
            buffer(name), action.microBatch(), from % stages(), action.microBatch(), List.of()));
    return List.of(steps.size() - 1);
  }

  /** Sends what the last step made. */
  private void departure(String name, int to, Action action) {
    if (isElsewhere(to)) {
      steps.add(
          new Step.Send(
              buffer(name),
              action.microBatch(),
              to % stages(),
              action.microBatch(),
              List.of(steps.size() - 1)));
    }
  }

  private void run(Action action, List<Integer> awaits) {
    int fragment =
        fragmentNumbers.computeIfAbsent(
            new Action(action.work(), 0, action.chunk()), this::fragment);
    steps.add(new Step.Run(fragment, action.microBatch(), slots.get(action.microBatch()), awaits));
  }

  private int fragment(Action any) {
    int piece = any.chunk() * stages() + stage;
    var graph = new Builder(any.work().letter() + piece);
    var inputs = new ArrayList<Integer>();
    var outputs = new ArrayList<Integer>();
    boolean backward = any.work() == Work.BACKWARD || any.work() == Work.INPUT_GRADIENT;
    if (any.work() == Work.FORWARD) {
      connect(inputs, "h." + (piece - 1), piece - 1);
      connect(outputs, "h." + piece, piece + 1);
    } else if (backward) {
      connect(inputs, cotangent(piece), piece + 1);
      connect(outputs, cotangent(piece - 1), piece - 1);
    }
    inputs.forEach(i -> graph.input(buffers.get(i).name(), NUMBER, Graph.Kind.DATA));
    outputs.forEach(
        i ->
            graph.output(
                graph
                    .add(
                        new Constant(Literal.scalar(DataType.F32, 0)),
                        List.of(),
                        List.of(buffers.get(i).name()))
                    .getFirst()));
    fragments.add(
        new Fragment(
            graph.build().name(), any.work(), any.chunk(), graph.build(), inputs, outputs));
    return fragments.size() - 1;
  }

  private void connect(List<Integer> side, String name, int piece) {
    if (isElsewhere(piece)) {
      side.add(buffer(name));
    }
  }
}
