"""One step of training: forward, backward, update.  The last page of the textbook.

`fitting` repeats it over all samples.
"""

from xpnet.arrays import Array
from xpnet.checks import explained
from xpnet.losses import Loss
from xpnet.network import Network
from xpnet.optimizers import Optimizer, State, clip_by_norm, project

Batch = tuple[Array, Array, Array | None]  # x, t, w


@explained
def train_step(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    theta: Array,
    state: State,
    buffers: Array,
    batch: Batch,
    scalars: Array,
    keys: Array | None = None,
    clip_norm: float | None = None,
) -> tuple[Array, State, Array, Array]:
    """One update from one batch: arrays in, arrays out.

    Parameters
    ----------
    network, loss, optimizer
        What to compute; they hold no arrays.
    theta, state, buffers
        The network's trainable arrays, the optimizer's state, the network's other arrays.
    batch : (x, t, w)
        Samples, targets, and weights or None (`losses`).
    scalars : floating-point array (k,)
        What `optimizer.scalars` gives for this step.
    keys : int32 array (len(network.drawing), 3), optional
        The key of each layer that draws.
    clip_norm : float, optional
        The greatest length of the gradient.

    Returns
    -------
    theta, state, buffers, loss
        The next ones, and the loss of this batch before the update, a 0-d array.
    """
    g, next_buffers, value = gradient(network, loss, theta, buffers, batch, keys)
    theta, state = update(network, optimizer, theta, g, state, scalars, clip_norm)
    return theta, state, next_buffers, value


def gradient(
    network: Network, loss: Loss, theta: Array, buffers: Array, batch: Batch, keys: Array | None
) -> tuple[Array, Array, Array]:
    """∂L/∂θ of one batch, the next buffers, and L; see `train_step`."""
    x, t, w = batch
    params = network.unpack(theta, buffers, keys)
    z, caches = network.forward(params, x)
    value, cache = loss.forward(z, t, w)
    _, grads = network.backward(params, caches, loss.backward(cache))
    if network.refreshing:
        buffers = network.refresh(params, caches)
    return network.pack(grads), buffers, value


def update(
    network: Network,
    optimizer: Optimizer,
    theta: Array,
    g: Array,
    state: State,
    scalars: Array,
    clip_norm: float | None,
) -> tuple[Array, State]:
    """Return the next θ, within its bounds, and state; see `train_step`."""
    if clip_norm is not None:
        g = clip_by_norm(g, float(clip_norm))
    theta, state = optimizer.update(theta, g, state, scalars, network.decayed_size)
    return project(network, theta), state
