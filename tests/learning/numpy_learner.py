"""Deep Q-learning in plain NumPy and float64, with derivatives by hand: what updates must agree
with."""

import copy

import numpy as np

BETA1, BETA2 = 0.9, 0.999


def arrays(params):
    """Float64 arrays W₁, b₁, W₂, b₂, … of a network of dense layers."""
    layers = (*params.hidden, params.output)
    return [np.array(part, np.float64) for layer in layers for part in layer]


def forward(parameters, x):
    """Activations of every layer, tanh but for the last one."""
    activations = [x]
    for index in range(0, len(parameters), 2):
        x = x @ parameters[index] + parameters[index + 1]
        if index + 2 < len(parameters):
            x = np.tanh(x)
        activations.append(x)
    return activations


class NumpyLearner:
    """One learner; `update` learns from a batch, and refreshes the target network if due."""

    def __init__(self, settings, params):
        self.settings = settings
        self.online = arrays(params)
        self.target = copy.deepcopy(self.online)
        self.first = [np.zeros_like(p) for p in self.online]
        self.second = [np.zeros_like(p) for p in self.online]
        self.updates = 0

    def gradient(self, batch):
        """Of the mean loss, in the order of the parameters."""
        settings, size = self.settings, len(batch.reward)
        rows = np.arange(size)
        values = forward(self.target, batch.next_observation)[-1]
        picker = forward(self.online, batch.next_observation)[-1]
        best = np.argmax(picker if settings.double else values, axis=1)
        self.y = batch.reward + batch.discount * values[rows, best]
        activations = forward(self.online, batch.observation)
        error = self.y - activations[-1][rows, batch.action]
        if settings.loss == "mse":
            self.loss, slope = np.mean(error**2), 2 * error
        else:
            delta, absolute = settings.huber_delta, np.abs(error)
            parts = np.where(absolute <= delta, error**2 / 2, delta * (absolute - delta / 2))
            self.loss, slope = np.mean(parts), np.clip(error, -delta, delta)
        flowing = np.zeros(activations[-1].shape)
        flowing[rows, batch.action] = -slope / size
        gradients = []
        for index in range(len(self.online) - 2, -1, -2):
            below = activations[index // 2]
            gradients = [below.T @ flowing, flowing.sum(axis=0), *gradients]
            flowing = flowing @ self.online[index].T * (1 - below**2)
        return gradients

    def update(self, batch, rate):
        gradients = self.gradient(batch)
        self.norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        most = self.settings.max_gradient_norm
        if most is not None and self.norm > most:
            gradients = [g * most / self.norm for g in gradients]
        self.updates += 1
        if self.settings.optimiser == "sgd":
            for p, g in zip(self.online, gradients, strict=True):
                p -= rate * g
        else:
            self._adam(gradients, rate)
        tau = self.settings.tau
        if self.updates % self.settings.target_period_updates == 0:
            pairs = zip(self.target, self.online, strict=True)
            self.target = [(1 - tau) * old + tau * new for old, new in pairs]

    def _adam(self, gradients, rate):
        for p, m, v, g in zip(self.online, self.first, self.second, gradients, strict=True):
            m[...] = BETA1 * m + (1 - BETA1) * g
            v[...] = BETA2 * v + (1 - BETA2) * g**2
            unbiased = m / (1 - BETA1**self.updates), v / (1 - BETA2**self.updates)
            p -= rate * unbiased[0] / (np.sqrt(unbiased[1]) + self.settings.adam_epsilon)
