FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PATH=/opt/syncapp/bin:$PATH

WORKDIR /app

# The packages of production alone, by hash; a layer that changes only with them.
COPY requirements.txt ./
RUN python -m venv /opt/syncapp && pip install --require-hashes --requirement requirements.txt

# Run from here with `python -m`: building a package would fetch a build backend that no lock names.
COPY . .
RUN useradd --system --no-create-home --shell /usr/sbin/nologin syncapp
USER syncapp

EXPOSE 8000
STOPSIGNAL SIGTERM
# The other processes of the Procfile run in the same image with another command.
CMD ["python", "-m", "gunicorn", "--config", "python:config.gunicorn", "api.app:create_app()"]
