package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Checks that one stage of a program is well formed by itself. */
final class StageCheck {
  private final Program program;
  private final StageProgram stage;

  StageCheck(Program program, StageProgram stage) {
    this.program = program;
    this.stage = stage;
  }

  void check() {
    Set<String> names = new HashSet<>();
    for (Buffer buffer : stage.buffers()) {
      require(names.add(buffer.name()), "two buffers are named " + buffer.name());
      require(
          buffer.pool() >= 0 && buffer.pool() < stage.pools().size(),
          buffer.name() + " lies in pool " + buffer.pool());
    }
    for (Pool pool : stage.pools()) {
      require(
          pool.slots() >= 1 && (!pool.kept() || pool.slots() == 1), pool + " has no such slots");
    }
    stage.fragments().forEach(this::fragment);
    for (int i = 0; i < stage.steps().size(); i++) {
      step(i, stage.steps().get(i));
    }
    runs();
  }

  private void fragment(Fragment fragment) {
    Graph graph = fragment.graph();
    String name = "fragment " + fragment.name();
    require(graph.inputs().size() == fragment.inputs().size(), name + " has other inputs");
    require(graph.outputs().size() == fragment.outputs().size(), name + " has other outputs");
    Map<Value, Integer> given = new HashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      bound(name, graph.inputs().get(i).value(), fragment.inputs().get(i));
      given.put(graph.inputs().get(i).value(), fragment.inputs().get(i));
    }
    Set<Integer> written = new HashSet<>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      int buffer = fragment.outputs().get(i);
      bound(name, graph.outputs().get(i).value(), buffer);
      require(written.add(buffer), name + " writes " + name(buffer) + " twice");
      Value donated = graph.outputs().get(i).donated();
      boolean own =
          donated == null
              ? !given.containsValue(buffer)
              : Integer.valueOf(buffer).equals(given.get(donated));
      require(own, name + " writes " + name(buffer) + ", which it reads as something else");
    }
  }

  private void bound(String fragment, Value value, int buffer) {
    require(
        buffer >= 0 && buffer < stage.buffers().size(), fragment + " has no buffer for " + value);
    require(
        value.type().equals(stage.buffers().get(buffer).local()),
        fragment + " binds " + value + " to " + stage.buffers().get(buffer));
  }

  private void step(int number, Step step) {
    List<Integer> awaits = step.awaits();
    for (int i = 0; i < awaits.size(); i++) {
      int awaited = awaits.get(i);
      if (awaited < 0 || awaited >= number || stage.steps().get(awaited).queue() == step.queue()) {
        throw wrong("step " + number + " awaits " + awaited);
      }
    }
    if (step.microBatch() < Step.ONCE || step.microBatch() >= program.microBatches()) {
      throw wrong("step " + number + " is for micro-batch " + step.microBatch());
    }
    switch (step) {
      case Step.Run run -> {
        if (run.fragment() < 0
            || run.fragment() >= stage.fragments().size()
            || run.slots().size() != stage.pools().size()) {
          throw wrong("step " + number + " runs no fragment: " + run);
        }
        for (int pool = 0; pool < run.slots().size(); pool++) {
          slot(number, pool, run.slots().get(pool));
        }
      }
      case Step.Feed feed -> slot(number, feed.pool(), feed.slot());
      case Step.Send send -> transfer(number, send.buffer(), send.slot(), send.stage());
      case Step.Receive receive ->
          transfer(number, receive.buffer(), receive.slot(), receive.stage());
    }
  }

  private void slot(int number, int pool, int slot) {
    if (pool < 0
        || pool >= stage.pools().size()
        || slot < 0
        || slot >= stage.pools().get(pool).slots()) {
      throw wrong("step " + number + " uses slot " + slot + " of pool " + pool);
    }
  }

  private void transfer(int number, int buffer, int slot, int other) {
    if (buffer < 0 || buffer >= stage.buffers().size()) {
      throw wrong("step " + number + " has buffer " + buffer);
    }
    slot(number, stage.buffers().get(buffer).pool(), slot);
    if (other < 0 || other >= program.stages().size() || other == stage.stage()) {
      throw wrong("step " + number + " exchanges " + name(buffer) + " with stage " + other);
    }
  }

  /** Every kind of work is done once for every micro-batch. */
  private void runs() {
    record Kind(Work work, int chunk) {}
    Map<Kind, BitSet> done = new HashMap<>();
    for (Fragment fragment : stage.fragments()) {
      if (fragment.work() != Work.STEP) {
        done.put(new Kind(fragment.work(), fragment.chunk()), new BitSet());
      }
    }
    List<@Nullable BitSet> byFragment = new ArrayList<>();
    stage.fragments().forEach(f -> byFragment.add(done.get(new Kind(f.work(), f.chunk()))));
    for (int i = 0; i < stage.steps().size(); i++) {
      if (stage.steps().get(i) instanceof Step.Run run) {
        BitSet microBatches = byFragment.get(run.fragment());
        boolean fits;
        if (microBatches == null) {
          fits = run.microBatch() == Step.ONCE;
        } else {
          fits = run.microBatch() != Step.ONCE && !microBatches.get(run.microBatch());
          if (fits) {
            microBatches.set(run.microBatch());
          }
        }
        if (!fits) {
          String name = stage.fragments().get(run.fragment()).name();
          throw wrong("step " + i + " runs " + name + " for " + run.microBatch() + " again");
        }
      }
    }
    done.forEach(
        (kind, microBatches) ->
            require(
                microBatches.cardinality() == program.microBatches(),
                kind + " runs for micro-batches " + microBatches + " only"));
  }

  private String name(int buffer) {
    List<Buffer> buffers = stage.buffers();
    return buffer >= 0 && buffer < buffers.size() ? buffers.get(buffer).name() : "no buffer";
  }

  private void require(boolean condition, String message) {
    if (!condition) {
      throw wrong(message);
    }
  }

  private IllegalStateException wrong(String message) {
    return new IllegalStateException(program.name() + ", stage " + stage.stage() + ": " + message);
  }

  static IllegalStateException failure(
      Program program, StageProgram stage, int step, String message) {
    return new IllegalStateException(
        "%s, stage %d, step %d (%s): %s"
            .formatted(program.name(), stage.stage(), step, stage.steps().get(step), message));
  }
}
