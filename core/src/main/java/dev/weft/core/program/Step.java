package dev.weft.core.program;

import java.util.List;

/**
 * One thing that a stage does. Steps are numbered as they stand in their stage; a step begins when
 * the one before it in its queue and all that it awaits have ended.
 */
public sealed interface Step {
  /** No micro-batch: once per step. */
  int ONCE = -1;

  Queue queue();

  /** The micro-batch that it is for, or {@link #ONCE}. */
  int microBatch();

  /** Numbers of earlier steps of the stage, of other queues, that must have ended. */
  List<Integer> awaits();

  /**
   * Computes.
   *
   * @param fragment index into the stage's fragments
   * @param slots for each pool of the stage the slot that the fragment's buffers lie in; 0 for
   *     pools that it does not touch
   */
  record Run(int fragment, int microBatch, List<Integer> slots, List<Integer> awaits)
      implements Step {
    public Run {
      slots = List.copyOf(slots);
      awaits = List.copyOf(awaits);
    }

    @Override
    public Queue queue() {
      return Queue.COMPUTE;
    }
  }

  /**
   * Takes a micro-batch's data and facts from outside into the buffers of those kinds in a pool.
   *
   * @param pool index into the stage's pools
   */
  record Feed(int pool, int slot, int microBatch, List<Integer> awaits) implements Step {
    public Feed {
      awaits = List.copyOf(awaits);
    }

    @Override
    public Queue queue() {
      return Queue.FROM_HOST;
    }
  }

  /**
   * Sends a tensor. It has ended when the buffer may be written again.
   *
   * @param buffer index into the stage's buffers
   * @param stage the other stage
   */
  record Send(int buffer, int slot, int stage, int microBatch, List<Integer> awaits)
      implements Step {
    public Send {
      awaits = List.copyOf(awaits);
    }

    @Override
    public Queue queue() {
      return Queue.SEND;
    }
  }

  /**
   * Receives the tensor of the same name that the other stage sends for the same micro-batch.
   *
   * @param buffer index into the stage's buffers
   * @param stage the other stage
   */
  record Receive(int buffer, int slot, int stage, int microBatch, List<Integer> awaits)
      implements Step {
    public Receive {
      awaits = List.copyOf(awaits);
    }

    @Override
    public Queue queue() {
      return Queue.RECEIVE;
    }
  }
}
