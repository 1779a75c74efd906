package dev.weft.core.schedule;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.program.Buffer;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramVerifier;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

/** Random programs pass the verifier and compute what they should; broken ones do not pass. */
class RandomProgramsTest {
  @Property(tries = 80)
  void anyOrderOfQueuesGivesTheSame(@ForAll @LongRange(min = 0) long seed) {
    RandomPrograms random = RandomPrograms.of(seed);
    ProgramVerifier.verify(random.program());
    for (int run = 0; run < 3; run++) {
      random.check(random.program(), seed + run);
    }
  }

  /** A way to break a program. */
  private enum Mutation {
    DROP_AWAIT,
    SWAP_STEPS,
    SHRINK_POOL,
    CHANGE_SLOT,
    DROP_STEP,
    CHANGE_MICRO_BATCH
  }

  @Test
  void noBrokenProgramPasses() {
    var random = new Random(1);
    Map<Mutation, Integer> caught = new EnumMap<>(Mutation.class);
    Map<Mutation, Integer> passed = new EnumMap<>(Mutation.class);
    for (int i = 0; i < 480; i++) {
      RandomPrograms sound = RandomPrograms.of(random.nextLong(Long.MAX_VALUE));
      Mutation mutation = Mutation.values()[i % Mutation.values().length];
      Program broken = mutated(sound.program(), mutation, random);
      if (broken.equals(sound.program())) {
        continue;
      }
      try {
        ProgramVerifier.verify(broken);
      } catch (IllegalStateException e) {
        caught.merge(mutation, 1, Integer::sum);
        continue;
      }
      // What passes must be as good as it was.
      for (int run = 0; run < 4; run++) {
        sound.check(broken, random.nextLong());
      }
      passed.merge(mutation, 1, Integer::sum);
    }
    for (Mutation mutation : Mutation.values()) {
      assertTrue(
          caught.getOrDefault(mutation, 0) > 12,
          mutation + ": caught " + caught + " passed " + passed);
    }
  }

  private static Program mutated(Program program, Mutation mutation, Random random) {
    int number = random.nextInt(program.stages().size());
    StageProgram stage = program.stages().get(number);
    var steps = new ArrayList<>(stage.steps());
    var pools = new ArrayList<>(stage.pools());
    int at = random.nextInt(steps.size());
    Step step = steps.get(at);
    switch (mutation) {
      case DROP_AWAIT -> {
        List<Integer> awaits = new ArrayList<>(step.awaits());
        if (!awaits.isEmpty()) {
          awaits.remove(random.nextInt(awaits.size()));
          steps.set(at, with(step, slot(step), step.microBatch(), awaits));
        }
      }
      case SWAP_STEPS -> {
        // Any two neighbours of one queue: what awaits one awaits that number still.
        for (int other = at + 1; other < steps.size(); other++) {
          if (steps.get(other).queue() == step.queue()) {
            Step moved = steps.get(other);
            steps.set(at, with(moved, slot(moved), moved.microBatch(), step.awaits()));
            steps.set(other, with(step, slot(step), step.microBatch(), moved.awaits()));
            break;
          }
        }
      }
      case SHRINK_POOL -> {
        int pool = random.nextInt(pools.size());
        Pool old = pools.get(pool);
        if (old.slots() > 1) {
          int slots = old.slots() - 1;
          pools.set(pool, new Pool(old.name(), slots, old.kept()));
          for (int i = 0; i < steps.size(); i++) {
            steps.set(i, shrunk(steps.get(i), stage, pool, slots));
          }
        }
      }
      case CHANGE_SLOT -> {
        if (step instanceof Step.Run run) {
          int pool = random.nextInt(pools.size());
          List<Integer> slots = new ArrayList<>(run.slots());
          slots.set(pool, random.nextInt(pools.get(pool).slots()));
          steps.set(at, new Step.Run(run.fragment(), run.microBatch(), slots, run.awaits()));
        } else {
          int slots = pools.get(pool(step, stage)).slots();
          steps.set(at, with(step, random.nextInt(slots), step.microBatch(), step.awaits()));
        }
      }
      case DROP_STEP -> {
        steps.remove(at);
        for (int i = 0; i < steps.size(); i++) {
          Step later = steps.get(i);
          List<Integer> awaits =
              later.awaits().stream().filter(a -> a != at).map(a -> a > at ? a - 1 : a).toList();
          steps.set(i, with(later, slot(later), later.microBatch(), awaits));
        }
      }
      case CHANGE_MICRO_BATCH -> {
        int other = random.nextInt(program.microBatches());
        steps.set(at, with(step, slot(step), other, step.awaits()));
      }
    }
    var stages = new ArrayList<>(program.stages());
    stages.set(
        number,
        new StageProgram(number, stage.mesh(), pools, stage.buffers(), stage.fragments(), steps));
    return new Program(program.name(), program.microBatches(), stages);
  }

  private static int pool(Step step, StageProgram stage) {
    List<Buffer> buffers = stage.buffers();
    return switch (step) {
      case Step.Run _ -> -1;
      case Step.Feed feed -> feed.pool();
      case Step.Send send -> buffers.get(send.buffer()).pool();
      case Step.Receive receive -> buffers.get(receive.buffer()).pool();
    };
  }

  private static int slot(Step step) {
    return switch (step) {
      case Step.Run _ -> -1;
      case Step.Feed feed -> feed.slot();
      case Step.Send send -> send.slot();
      case Step.Receive receive -> receive.slot();
    };
  }

  private static Step shrunk(Step step, StageProgram stage, int pool, int slots) {
    if (step instanceof Step.Run run) {
      List<Integer> fewer = new ArrayList<>(run.slots());
      fewer.set(pool, fewer.get(pool) % slots);
      return new Step.Run(run.fragment(), run.microBatch(), fewer, run.awaits());
    }
    return pool(step, stage) == pool
        ? with(step, slot(step) % slots, step.microBatch(), step.awaits())
        : step;
  }

  /** The step with another slot, which a run does not have, micro-batch and awaits. */
  private static Step with(Step step, int slot, int microBatch, List<Integer> awaits) {
    return switch (step) {
      case Step.Run run -> new Step.Run(run.fragment(), microBatch, run.slots(), awaits);
      case Step.Feed feed -> new Step.Feed(feed.pool(), slot, microBatch, awaits);
      case Step.Send send -> new Step.Send(send.buffer(), slot, send.stage(), microBatch, awaits);
      case Step.Receive receive ->
          new Step.Receive(receive.buffer(), slot, receive.stage(), microBatch, awaits);
    };
  }
}
